//! Settings that may be set without a value: an empty variable counts as none.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::failure::Failure;

/// A text without the spaces around it; `None` if nothing is left.
pub fn text(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// The secret of the variable `name`, or else that in the file which `name` with `_FILE` names.
///
/// # Errors
/// When the file cannot be read, or is empty.
pub fn secret(
    name: &str,
    value: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, Failure> {
    if let Some(secret) = text(value.map(|value| value.expose_secret())) {
        return Ok(Some(SecretString::from(secret)));
    }
    let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) else { return Ok(None) };
    let content = std::fs::read_to_string(path)
        .map_err(|error| format!("{name}_FILE: {} cannot be read: {error}", path.display()))?;
    match text(Some(&content)) {
        Some(secret) => Ok(Some(SecretString::from(secret))),
        None => Err(format!("{name}_FILE: {} is empty", path.display()).into()),
    }
}
