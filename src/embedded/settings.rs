//! The settings the server is started with.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::EmbeddedOptions;
use super::error::EmbeddedError;
use super::layout::{Layout, PORT, SocketDir};

/// Connections on top of those asked for: `ensure_database`, and a person with `psql` when the pool
/// is at its limit.
const SPARE_CONNECTIONS: u16 = 5;

/// The settings of the server. They are given as arguments, which no file and no `ALTER SYSTEM`
/// can override: somebody who wants to tune a server wants one of their own.
pub(super) fn all(
    layout: &Layout,
    socket: &SocketDir,
    user: &str,
    options: &EmbeddedOptions,
) -> Result<Vec<(&'static str, OsString)>, EmbeddedError> {
    let connections = options.max_connections.saturating_add(SPARE_CONNECTIONS).to_string();
    let plain = [
        // What was acknowledged is on the disk.
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        // Nobody connects over a network.
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("max_connections", &connections),
        // Made for one machine that also does other things.
        ("shared_buffers", "256MB"),
        // A checkpoint makes the next change of every page cost the whole page in the log.
        ("max_wal_size", "4GB"),
        ("checkpoint_timeout", "15min"),
        ("work_mem", "8MB"),
        ("maintenance_work_mem", "64MB"),
        // A queue's tables change all the time: what is dead is to go soon, and plans are to know how
        // large the tables are.
        ("autovacuum_naptime", "10s"),
        // Short statements only: neither pays.
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
        // In files of the data directory: /dev/shm is tiny in containers, and what a killed server
        // leaves there stays when the data is removed.
        ("dynamic_shared_memory_type", "mmap"),
        // The log comes to us; some packages redirect it to files by default. Without a prefix a
        // line begins with its level.
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_line_prefix", ""),
        ("cluster_name", "muster"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    let mut settings: Vec<(&'static str, OsString)> =
        plain.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
    settings.extend(options.preload.map(|name| ("shared_preload_libraries", name.into())));
    settings.push(("port", PORT.to_string().into()));
    settings.push(("unix_socket_directories", list_item(&socket.path)));
    let rules = layout.write_access_rules(user)?;
    settings.extend(rules.map(|(name, path)| (name, path.into_os_string())));
    Ok(settings)
}

/// A path as an item of a comma-separated setting: a comma or a space must not split it.
fn list_item(path: &Path) -> OsString {
    let mut quoted = vec![b'"'];
    for &byte in path.as_os_str().as_bytes() {
        if byte == b'"' {
            quoted.push(b'"');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    std::os::unix::ffi::OsStringExt::from_vec(quoted)
}
