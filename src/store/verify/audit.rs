//! What breaks the promise that the audit ends where its head says.
//!
//! Only the end, because it is where a crash or a second sealer would do harm; whether anything of the
//! whole was touched is another question, which `muster audit verify` answers by recomputing all of it.

use super::finders;

finders! {
    ends_with_head: "
        select 'workspace', $1::text, 'the last seal of the audit is ' || last || ', the head says ' || head
        from (select coalesce((select max(seq) from audit_seals where workspace_id = $1), 0) as last,
                     coalesce((select seq from audit_heads where workspace_id = $1), 0) as head) h
        where last <> head
        union all
        select 'workspace', $1::text, 'the head of the audit has another hash than its last seal'
        from audit_heads h join audit_seals s on s.workspace_id = $1 and s.seq = h.seq
        where h.workspace_id = $1 and h.chain_sha256 <> s.chain_sha256
        union all
        select 'audit', l.seq::text, case when e.entry_id is null then 'its entry is not there'
                                          else 'it follows number ' || l.before end
        from (select seq, entry_id, lag(seq) over (order by seq) as before
              from (select seq, entry_id from audit_seals where workspace_id = $1
                    order by seq desc limit 100) s) l
        left join audit_entries e on e.workspace_id = $1 and e.entry_id = l.entry_id
        where e.entry_id is null or l.before <> l.seq - 1";
}
