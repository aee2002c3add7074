//! Violations of the invariants of artifacts: what refers to one finds it, and their bytes are counted.

use super::finders;

finders! {
    referred: "
        select 'attempt', o.attempt_id::text, 'its result lists other artifacts than its references'
        from attempt_results o
        where o.workspace_id = $1 and o.artifacts is not null
          and exists (select from unnest(o.artifacts) as listed (sha256)
                      where not exists (select from artifact_refs r
                                        where r.workspace_id = $1 and r.attempt_id = o.attempt_id
                                          and r.sha256 = listed.sha256 and r.in_result)
                        and exists (select from artifacts f
                                    where f.workspace_id = $1 and f.sha256 = listed.sha256))
        union all
        select 'artifact', 'sha256:' || encode(f.sha256, 'hex'), 'its bytes are to be removed'
        from artifacts f
        join artifact_uploads u on u.workspace_id = $1 and u.upload_id = f.upload_id
        where f.workspace_id = $1";

    bytes_counted: "
        select 'workspace', w.workspace_id::text, 'its total is ' || c.total || ', its artifacts have ' || c.bytes
        from workspaces w
        cross join lateral (
            select coalesce((select t.bytes from artifact_totals t where t.workspace_id = $1), 0) as total,
                   coalesce((select sum(greatest(f.size, 4096)) from artifacts f
                             where f.workspace_id = $1), 0)::bigint as bytes) c
        where w.workspace_id = $1 and c.total <> c.bytes";
}
