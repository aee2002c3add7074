//! Violations of the invariant that what refers to an artifact finds it.

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
}
