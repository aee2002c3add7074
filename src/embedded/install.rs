//! The search for an installed PostgreSQL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{ELSEWHERE, EmbeddedError};

/// The oldest major version muster works with.
const OLDEST: u32 = 14;

/// How to install it.
const INSTALL: &str = "Debian and Ubuntu `apt install postgresql`, Fedora and RHEL \
     `dnf install postgresql-server`, macOS `brew install postgresql@17`";

/// Directories of packages. `*` stands for the version; the newest is tried first.
const PLACES: [&str; 11] = [
    "/usr/lib/postgresql/*/bin",                       // Debian, Ubuntu
    "/usr/pgsql-*/bin",                                // RPMs of the PostgreSQL project
    "/usr/lib/postgresql*/bin",                        // SUSE
    "/usr/libexec/postgresql*",                        // Alpine
    "/opt/homebrew/opt/postgresql@*/bin",              // Homebrew, Apple silicon
    "/usr/local/opt/postgresql@*/bin",                 // Homebrew, Intel
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin", // Homebrew, Linux
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/opt/local/lib/postgresql*/bin", // MacPorts
    "/usr/bin",                       // Fedora, when PATH is empty
    "/usr/local/bin",
];

/// A version, as `postgres --version` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// The number that decides about the format of the data.
    pub(super) major: u32,
    full: String,
}

impl Version {
    /// Parses `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, also `17beta1` and `18devel`.
    fn parse(line: &str) -> Option<Self> {
        let full = line.split_once("(PostgreSQL)")?.1.split_whitespace().next()?.to_owned();
        let digits: String = full.chars().take_while(char::is_ascii_digit).collect();
        Some(Self { major: digits.parse().ok()?, full })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

/// One installed PostgreSQL.
#[derive(Debug, Clone)]
pub(super) struct Install {
    bin: PathBuf,
    /// The version of its `postgres`.
    pub(super) version: Version,
}

impl Install {
    /// The path of a program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The path of a client program of the same major version, which some systems install in another
    /// place than those of the server.
    pub(super) fn client(&self, name: &str) -> Result<PathBuf, EmbeddedError> {
        let own = self.bin.join(name);
        if own.is_file() {
            return Ok(own);
        }
        let major = self.version.major;
        let same = |program: &PathBuf| {
            let line = program.is_file().then(|| output(program, "--version")).flatten();
            line.and_then(|line| Version::parse(&line)).is_some_and(|found| found.major == major)
        };
        directories().map(|dir| dir.join(name)).find(same).ok_or_else(|| {
            EmbeddedError::Unusable(format!(
                "`{name}` of PostgreSQL {major} is not in {} nor in PATH; install the client \
                 programs: Debian and Ubuntu `postgresql-client-{major}`, Fedora and RHEL \
                 `postgresql`, Alpine `postgresql{major}-client`, macOS `postgresql@{major}`",
                self.bin.display()
            ))
        })
    }

    /// The PostgreSQL for data of the major version `data` (no data yet: the first new enough), in
    /// the directory `named` or, without it, in all known places.
    pub(super) fn find(
        named: Option<&Path>,
        data: Option<u32>,
        cluster: &Path,
    ) -> Result<Self, EmbeddedError> {
        let Some(data) = data else { return Self::at_least(named, OLDEST) };
        let found = Self::all(named)?;
        let seen: Vec<Version> = found.iter().map(|install| install.version.clone()).collect();
        found.into_iter().find(|install| install.version.major == data).ok_or_else(|| {
            match seen.iter().map(|version| version.major).max() {
                Some(newest) => EmbeddedError::OtherMajor {
                    cluster: cluster.to_owned(),
                    data,
                    newest,
                    found: list(&seen),
                },
                None => not_installed(OLDEST, &seen),
            }
        })
    }

    /// The first that is new enough.
    pub(super) fn at_least(named: Option<&Path>, major: u32) -> Result<Self, EmbeddedError> {
        let (major, found) = (major.max(OLDEST), Self::all(named)?);
        let seen: Vec<Version> = found.iter().map(|install| install.version.clone()).collect();
        let mut found = found.into_iter();
        let found = found.find(|install| install.version.major >= major);
        found.ok_or_else(|| not_installed(major, &seen))
    }

    /// The newest.
    pub(super) fn newest(named: Option<&Path>) -> Result<Self, EmbeddedError> {
        let newest = Self::all(named)?.into_iter().max_by_key(|install| install.version.major);
        newest.ok_or_else(|| not_installed(OLDEST, &[]))
    }

    /// The server program of the version that wrote the data, in the directory `named` or in all known
    /// places. It needs nothing else of its version.
    pub(super) fn of_data(
        named: Option<&Path>,
        data: u32,
        cluster: &Path,
    ) -> Result<Self, EmbeddedError> {
        let is_wanted = |install: &Self| install.version.major == data;
        let Some(dir) = named else {
            let missing =
                || EmbeddedError::OldProgramsMissing { cluster: cluster.to_owned(), data };
            return Self::everywhere().into_iter().find(is_wanted).ok_or_else(missing);
        };
        let bin = std::path::absolute(dir).map_err(EmbeddedError::io("resolve", dir))?;
        let line = output(&bin.join("postgres"), "--version");
        let version = line.as_deref().and_then(Version::parse);
        let found = version.as_ref().map_or("no usable `postgres`".to_owned(), ToString::to_string);
        let install = version.map(|version| Self { bin, version }).filter(is_wanted);
        install.ok_or_else(|| {
            EmbeddedError::Unusable(format!(
                "the data in {} was written by PostgreSQL {data}, and {} holds {found}; name the \
                 directory with the `postgres` of version {data}",
                cluster.display(),
                dir.display()
            ))
        })
    }

    /// Those that may be used, in order of preference.
    fn all(named: Option<&Path>) -> Result<Vec<Self>, EmbeddedError> {
        match named {
            Some(dir) => Ok(vec![Self::named(dir)?]),
            None => Ok(Self::everywhere()),
        }
    }

    fn named(dir: &Path) -> Result<Self, EmbeddedError> {
        let bad = |reason: String| {
            EmbeddedError::Unusable(format!(
                "MUSTER_PG_BIN is {}, but {reason}; set it to the directory that holds `initdb` and \
                 `postgres` (`pg_config --bindir` prints it), or unset it to have them searched; to \
                 install PostgreSQL: {INSTALL}; {ELSEWHERE}",
                dir.display()
            ))
        };
        for program in ["postgres", "initdb"] {
            if !dir.join(program).is_file() {
                return Err(bad(format!("there is no `{program}` in it")));
            }
        }
        // The programs are started with another working directory.
        let dir = std::path::absolute(dir).map_err(|error| bad(error.to_string()))?;
        Self::at(dir).ok_or_else(|| bad("its `postgres --version` does not work".to_owned()))
    }

    fn at(bin: PathBuf) -> Option<Self> {
        if !bin.join("initdb").is_file() || !bin.join("postgres").is_file() {
            return None;
        }
        let version = Version::parse(&output(&bin.join("postgres"), "--version")?)?;
        Some(Self { bin, version })
    }

    /// All installed ones in order of preference.
    fn everywhere() -> Vec<Self> {
        let mut seen = Vec::new();
        directories()
            .filter(|dir| match dir.join("postgres").canonicalize() {
                Ok(real) if seen.contains(&real) => false,
                Ok(real) => {
                    seen.push(real);
                    true
                }
                Err(_) => false,
            })
            .filter_map(Self::at)
            .collect()
    }
}

/// Directories of programs: `PATH`, then `pg_config`, then known places.
fn directories() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
    let config = output(Path::new("pg_config"), "--bindir").map(PathBuf::from);
    path.into_iter().chain(config).chain(PLACES.into_iter().flat_map(expand))
}

fn list(versions: &[Version]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn not_installed(major: u32, seen: &[Version]) -> EmbeddedError {
    let looked = match seen {
        [] => "looked in PATH, `pg_config --bindir` and the usual Debian, RPM and Homebrew places"
            .to_owned(),
        seen => format!("only {}", list(seen)),
    };
    EmbeddedError::Unusable(format!(
        "no PostgreSQL {major} or newer was found ({looked}). Install it: {INSTALL}; if it is installed \
         in another place, set MUSTER_PG_BIN to the directory that holds `initdb` and `postgres`; \
         {ELSEWHERE}"
    ))
}

/// The output of `program flag`, if it succeeds.
fn output(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The directories that match a pattern with at most one `*`, the highest version first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(format!("{parent}/")) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let digits: String =
                name.strip_prefix(prefix)?.chars().take_while(char::is_ascii_digit).collect();
            let path = entry.path().join(after.trim_start_matches('/'));
            Some((digits.parse().unwrap_or(0), path))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_packages_print_them() {
        let major = |line| Version::parse(line).map(|version| version.major);
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major("postgres (PostgreSQL) 18devel"), Some(18));
        assert_eq!(major("mysqld 8.0"), None);
    }

    #[test]
    fn the_newest_of_a_place_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17"] {
            std::fs::create_dir_all(dir.path().join(version).join("bin")).unwrap();
        }
        let found = expand(&format!("{}/*/bin", dir.path().display()));
        let expected = ["17", "15", "9.6"].map(|version| dir.path().join(version).join("bin"));
        assert_eq!(found, expected);
    }
}
