//! The settings of the server.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::error::EmbeddedError;
use super::layout::{Layout, PORT, SocketDir};
use super::options::EmbeddedOptions;

/// Connections beside the requested ones: `ensure_database`, and `psql` while the pool is at its
/// limit.
const SPARE_CONNECTIONS: u16 = 5;

/// The settings, as arguments of the program. No file and no `ALTER SYSTEM` can override them: for
/// tuning there is `DATABASE_URL`.
pub(super) fn all(
    layout: &Layout,
    socket: &SocketDir,
    user: &str,
    options: &EmbeddedOptions,
) -> Result<Vec<(&'static str, OsString)>, EmbeddedError> {
    let connections = options.max_connections.saturating_add(SPARE_CONNECTIONS).to_string();
    let plain = [
        // Acknowledged data is on disk.
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        // No network.
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("max_connections", &connections),
        // For a machine with other programs.
        ("shared_buffers", "256MB"),
        // After a checkpoint the first change of each page writes the whole page to the log.
        ("max_wal_size", "4GB"),
        ("checkpoint_timeout", "15min"),
        ("work_mem", "8MB"),
        ("maintenance_work_mem", "64MB"),
        // The tables of a queue change all the time: dead rows must go soon, and plans need the sizes
        // of the tables.
        ("autovacuum_naptime", "10s"),
        // Useless for short statements.
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
        // In files of the data directory: /dev/shm is small in containers, and the files of a killed
        // server would stay there after the removal of the data.
        ("dynamic_shared_memory_type", "mmap"),
        // To us; some packages redirect the log to files by default. Without a prefix a line begins
        // with its level.
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

/// A path as one item of a comma-separated setting, also with a comma or a space.
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
