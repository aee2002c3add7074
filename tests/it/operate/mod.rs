//! Running muster: the command line, the demo, the benchmark, the private PostgreSQL, its backup, moving.

mod backup;
mod bench;
mod cli;
mod demo;
mod embedded;
mod planner_key;
mod statistics;
mod storage;
mod supervisor_record;
mod workspace_move;
