//! The exclusive use of a data directory, and the start of a server in it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use super::account::{self, Account};
use super::error::EmbeddedError;
use super::install::Install;
use super::layout::{self, Layout, SocketDir};
use super::lock::{InstanceLock, LockFile};
use super::options::{EmbeddedOptions, Lifetime};
use super::server::Launch;
use super::{cluster, previous, settings, spawn, switch};

/// A data directory that no other muster uses. The last clone releases it.
#[derive(Debug, Clone)]
pub(super) struct DataDir {
    /// Its files.
    pub(super) layout: Layout,
    /// The account of every server in it.
    pub(super) account: Account,
    user: String,
    instance: Arc<InstanceLock>,
}

impl DataDir {
    /// Takes the directory, created if it is missing, and ends the processes of a killed muster in it.
    /// The lock is that of the first server.
    pub(super) fn take(options: &EmbeddedOptions) -> Result<(Self, LockFile), EmbeddedError> {
        // All checks come before the first change.
        let user = account::our_name()?;
        let account = Account::choose(&switch::current(&options.data_dir))?;
        account.check_reach(&layout::nearest(&options.data_dir)?)?;
        let layout = Layout::make(&options.data_dir)?;
        account.check_reach(&layout.data_dir)?;
        let instance = Arc::new(InstanceLock::take(&layout.data_dir)?);
        let taken = Self { layout, account, user, instance };
        let server_lock = taken.server_lock()?;
        Ok((taken, server_lock))
    }

    /// The lock of the next server, when the one before has ended.
    pub(super) fn server_lock(&self) -> Result<LockFile, EmbeddedError> {
        let server_lock = LockFile::open(self.layout.data_dir.join("server.lock"))?;
        previous::clear(&self.layout, &server_lock)?;
        Ok(server_lock)
    }

    /// The parts before the start of the server on the files of `layout`, which are created if there
    /// are none. Blocks for the second of an `initdb`.
    pub(super) fn launch(
        self,
        server_lock: LockFile,
        layout: Layout,
        install: &Install,
        options: &EmbeddedOptions,
    ) -> Result<Launch, EmbeddedError> {
        let account = &self.account;
        if cluster::major(&layout.cluster)?.is_none() {
            let sync = options.lifetime == Lifetime::Kept;
            cluster::create(&layout, install, account, &server_lock, sync)?;
        }
        let socket = layout.socket_dir(account)?;
        let mut command = spawn::command(&install.program("postgres"), account);
        command
            .arg("-D")
            .arg(&layout.cluster)
            .stdin(server_lock.as_stdin()?)
            .stderr(Stdio::piped());
        for (name, value) in settings::all(&layout, &socket, &self.user, options)? {
            let mut setting = OsString::from(format!("{name}="));
            setting.push(value);
            command.arg("-c").arg(setting);
        }
        let (socket_dir, version) = (socket.path.clone(), install.version.to_string());
        let data_dir = layout.data_dir.clone();
        let cleanup = cleanup(data_dir, options.lifetime, socket, self.instance);
        Ok(Launch { command, layout, socket_dir, version, cleanup })
    }
}

/// The work after the end of the server; it releases the directory last.
fn cleanup(
    data_dir: PathBuf,
    lifetime: Lifetime,
    socket: SocketDir,
    instance: Arc<InstanceLock>,
) -> Box<dyn FnOnce()> {
    Box::new(move || {
        socket.remove();
        if lifetime == Lifetime::Ephemeral
            && let Err(error) = layout::remove_tree(&data_dir)
        {
            tracing::warn!(%error, "the data of a temporary PostgreSQL is not removed");
        }
        drop(instance);
    })
}
