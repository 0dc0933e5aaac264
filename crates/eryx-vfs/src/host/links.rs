//! Symbolic links in a volume.

use std::path::{Component, Path};

use super::error::translated;
use super::volume::Volume;
use crate::name::check_path;
use crate::{Error, Result};

/// The target of the link at `path`. One that leads out of the volume, as far as its text says, is refused: it would name
/// places of the host. Where the text does not show it, the walk refuses the step that leads out.
pub(super) fn read(volume: &Volume, path: &Path) -> Result<Box<str>> {
    let target = volume.dir.read_link_contents(path).map_err(translated)?;
    let mut depth = path.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth = depth.checked_sub(1).ok_or(Error::NotPermitted)?,
            Component::RootDir | Component::Prefix(_) => return Err(Error::NotPermitted),
        }
    }
    let target = target.to_str().ok_or(Error::NotPermitted)?;
    check_path(target)?;
    Ok(target.into())
}

/// Refuses targets that lead out of the volume, now or when the link is moved: programs of the host would follow it
/// there. Only names below the link's own directory are safe wherever it goes.
pub(super) fn check_new(target: &str) -> Result<()> {
    check_path(target)?;
    let down = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if Path::new(target).components().all(down) {
        return Ok(());
    }
    Err(Error::NotPermitted)
}
