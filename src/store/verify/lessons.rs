//! Violations of the invariants of lessons and their index.

use super::finders;

finders! {
    written: "
        select 'lesson', l.lesson_id::text, 'it has ' || coalesce(v.versions, 0) ||
               ' versions, the newest ' || coalesce(v.newest, 0) || ', and should have ' || l.version
        from lessons l
        left join (select lesson_id, count(*) as versions, max(version) as newest
                   from lesson_versions where workspace_id = $1
                   group by lesson_id) v on v.lesson_id = l.lesson_id
        where l.workspace_id = $1
          and (v.versions is distinct from l.version or v.newest is distinct from l.version)
        union all
        select 'lesson', l.lesson_id::text, 'it is superseded by nothing that is there'
        from lessons l
        left join lessons o on o.workspace_id = $1 and o.lesson_id = l.superseded_by
        where l.workspace_id = $1 and l.superseded_by is not null and o.lesson_id is null";

    indexed: "
        select 'lesson', l.lesson_id::text, case
                 when d.doc is null then 'it has no document'
                 when d.doc is distinct from l.doc then 'its document is ' || d.doc || ', and should be ' ||
                      coalesce(l.doc::text, 'none')
                 when p.frequency is distinct from d.length and d.length > 0 then 'its document has ' ||
                      coalesce(p.frequency, 0) || ' words, and should have ' || d.length
                 when p.listed <> 1 or p.entries - 1 <> cardinality(d.terms) then
                      'it has ' || cardinality(d.terms) || ' terms, and postings of ' || p.entries - 1
                 else 'it stands on shelf ' || d.shelf end
        from lessons l
        left join docs d on d.workspace_id = $1 and d.lesson_id = l.lesson_id
        left join shelves s on s.workspace_id = $1 and s.project_id = l.project_id
        left join (select block::bigint * 1024 + get_byte(entries, 8 * i) * 256 + get_byte(entries, 8 * i + 1) as doc,
                          sum(get_byte(entries, 8 * i + 2) * 65536 + get_byte(entries, 8 * i + 3) * 256
                              + get_byte(entries, 8 * i + 4)) as frequency,
                          min(get_byte(entries, 8 * i + 5) * 65536 + get_byte(entries, 8 * i + 6) * 256
                              + get_byte(entries, 8 * i + 7)) as shortest,
                          max(get_byte(entries, 8 * i + 5) * 65536 + get_byte(entries, 8 * i + 6) * 256
                              + get_byte(entries, 8 * i + 7)) as longest,
                          min(shelf) as low, max(shelf) as high,
                          count(*) filter (where term = '') as listed, count(*) as entries
                   from postings, generate_series(0, documents - 1) as i
                   where workspace_id = $1
                   group by 1) p on p.doc = d.doc
        where l.workspace_id = $1
          and (d.doc is null or d.doc is distinct from l.doc
               or coalesce(p.frequency, 0) <> d.length
               or p.low <> d.shelf or p.high <> d.shelf
               or p.listed <> 1 or p.entries - 1 <> cardinality(d.terms)
               or p.shortest <> d.length or p.longest <> d.length
               or d.shelf is distinct from
                  (case when l.project_id is null then 4 else s.shelf end)
                  + (case l.state when 'active' then 0 when 'candidate' then 1 else 2 end))
        union all
        select 'posting', p.doc::text, 'there is no such document'
        from (select distinct block::bigint * 1024 + get_byte(entries, 8 * i) * 256 + get_byte(entries, 8 * i + 1) as doc
              from postings, generate_series(0, documents - 1) as i
              where workspace_id = $1) p
        left join docs d on d.workspace_id = $1 and d.doc = p.doc
        where d.doc is null";
}
