-- A result is stored once.
--
-- Why: a task's result was a copy of what its accepted attempt handed in, and writing it moved the
-- task's description along. That attempt is the current one of a task that is done, so the result is
-- read from there.

alter table attempt_results add column result_bytes integer
    generated always as (octet_length(result::text)) stored;
comment on column attempt_results.result_bytes is 'The size of the result as text: what is handed over is bounded by it, and the stored size is compressed.';

alter table task_texts drop column result_bytes, drop column result;
alter table task_texts reset (fillfactor);
