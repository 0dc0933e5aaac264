//! What a run finds in its file system: private directories, the standard library, a storage, and volumes.

mod path;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use eryx_vfs::{ArchiveFs, DeviceFs, FileSystem, HostFs, Kind, MemoryFs, Namespace};

use crate::caps::MAX_VOLUMES;
use crate::names::quoted;
use crate::{Error, Storage};
use path::{Claims, check};

/// Where the standard library is mounted in a guest.
const LIBRARY_PATH: &str = "/usr/lib/python3.14";
/// The directories that every guest has besides the library and its working directory.
const DIRECTORIES: [&str; 4] = ["/tmp", "/home/sandbox", LIBRARY_PATH, DEVICES_PATH];
/// Where devices are: the last mount, so that the numbers of the others say what they always did.
const DEVICES_PATH: &str = "/dev";
/// The working directory that the image starts in.
const DEFAULT_PATH: &str = "/data";

/// A directory or a single file of the host that runs see.
///
/// Symbolic links in it are followed as far as they stay in it. Devices, sockets and pipes in it cannot be opened. Runs
/// see names, contents, sizes and times of modification; no owners and no permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// What is mounted. It has to exist. A symbolic link here is followed.
    pub host_path: PathBuf,
    /// Where runs see it. Absolute, without `.`, `..` and empty parts; apart from other volumes, the working directory,
    /// `/usr` and `/dev`.
    pub guest_path: String,
    /// Whether every change is refused, with `EROFS`. Default true. What a writable volume may take is bounded by the
    /// host's disk only.
    pub read_only: bool,
}

impl Volume {
    /// A read-only volume.
    #[must_use]
    pub fn new(host_path: impl Into<PathBuf>, guest_path: impl Into<String>) -> Self {
        Self {
            host_path: host_path.into(),
            guest_path: guest_path.into(),
            read_only: true,
        }
    }
}

/// The mounts of a sandbox, checked and opened.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// What `/` looks like at the start of a run, with a place for every mount. Forked for every run.
    template: MemoryFs,
    storage: Option<Storage>,
    path: String,
    volumes: Vec<(String, HostFs)>,
}

impl Mounts {
    /// Checks the paths and opens the volumes.
    pub(crate) fn new(
        storage: Option<Storage>,
        path: Option<String>,
        volumes: Vec<Volume>,
    ) -> Result<Self, Error> {
        let path = path.unwrap_or_else(|| DEFAULT_PATH.to_owned());
        check("mount_path", &path)?;
        let mut claims = Claims::new();
        claims.add("mount_path", "the working directory", &path)?;
        if volumes.len() > MAX_VOLUMES {
            let count = volumes.len();
            let problem = format!("{count} are more than the {MAX_VOLUMES} allowed");
            return Err(Error::invalid("volumes", problem));
        }
        let mut opened = Vec::with_capacity(volumes.len());
        for (index, volume) in volumes.into_iter().enumerate() {
            let argument = format!("volumes[{index}].guest_path");
            check(&argument, &volume.guest_path)?;
            claims.add(&argument, &format!("volumes[{index}]"), &volume.guest_path)?;
            let files = open(&volume)?;
            opened.push((volume.guest_path, files));
        }
        Ok(Self {
            template: template(&path, &opened)?,
            storage,
            path,
            volumes: opened,
        })
    }

    /// The storage of the options.
    pub(crate) fn storage(&self) -> Option<&Storage> {
        self.storage.as_ref()
    }

    /// Where the storage is mounted.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Python source that enters the working directory, if it is not the one that the image starts in.
    pub(crate) fn entry(&self) -> Option<String> {
        use std::fmt::Write;
        if self.path == DEFAULT_PATH {
            return None;
        }
        let mut hex = String::new();
        for byte in self.path.bytes() {
            let _ = write!(hex, "{byte:02x}");
        }
        // An expression: it leaves no name behind.
        Some(format!("__import__('os').chdir(bytes.fromhex('{hex}'))"))
    }

    /// The files of a new run, and among them the tree at `/`. Those of its own may take so many bytes.
    pub(crate) fn namespace(
        &self,
        library: &Arc<ArchiveFs>,
        storage: Option<&Storage>,
        max_bytes: u64,
    ) -> (Arc<MemoryFs>, Namespace) {
        let root = Arc::new(self.template.fork());
        root.set_max_bytes(max_bytes.saturating_add(root.used_bytes()));
        let namespace = self
            .mounted(&root, library, storage)
            .expect("the template has a place of the right kind for each");
        (root, namespace)
    }

    /// The same over a tree at `/` that was saved, perhaps by a guest with other mounts.
    pub(crate) fn namespace_on(
        &self,
        root: &Arc<MemoryFs>,
        library: &Arc<ArchiveFs>,
        storage: Option<&Storage>,
        max_bytes: u64,
    ) -> Result<Namespace, Error> {
        root.set_max_bytes(u64::MAX);
        let refused = |(path, error): (&str, eryx_vfs::Error)| {
            let path = quoted(path);
            Error::refused_snapshot(&format!("nothing can be mounted at {path} in it: {error}"))
        };
        make_places(root, &self.path, &self.volumes).map_err(refused)?;
        let namespace = self.mounted(root, library, storage).map_err(refused)?;
        let places = self.template.used_bytes();
        root.set_max_bytes(max_bytes.saturating_add(places));
        Ok(namespace)
    }

    fn mounted(
        &self,
        root: &Arc<MemoryFs>,
        library: &Arc<ArchiveFs>,
        storage: Option<&Storage>,
    ) -> Result<Namespace, (&str, eryx_vfs::Error)> {
        let mut namespace = Namespace::new(Arc::clone(root) as _);
        let mut mount = |path, files: Arc<dyn FileSystem>| {
            let mounted = namespace.mount(path, files);
            mounted.map_err(|error| (path, error))
        };
        mount(LIBRARY_PATH, Arc::clone(library) as _)?;
        if let Some(storage) = storage {
            mount(&self.path, storage.file_system())?;
        }
        for (path, volume) in &self.volumes {
            mount(path, Arc::new(volume.fresh()))?;
        }
        mount(DEVICES_PATH, Arc::clone(&*DEVICES))?;
        Ok(namespace)
    }
}

/// It holds nothing, so that all guests can share it.
static DEVICES: LazyLock<Arc<dyn FileSystem>> =
    LazyLock::new(|| Arc::new(DeviceFs::new(|buffer| getrandom::fill(buffer).is_ok())));

fn open(volume: &Volume) -> Result<HostFs, Error> {
    HostFs::open(&volume.host_path, volume.read_only).map_err(|reason| {
        let reason = match reason {
            eryx_vfs::Error::NotPermitted => "it is neither a directory nor a file".to_owned(),
            reason => reason.to_string(),
        };
        Error::Initialization(format!(
            "volumes: {} cannot be mounted at {}: {reason}",
            quoted(&volume.host_path.to_string_lossy()),
            quoted(&volume.guest_path)
        ))
    })
}

/// A tree with a directory or an empty file at every place where something is mounted.
fn template(path: &str, volumes: &[(String, HostFs)]) -> Result<MemoryFs, Error> {
    let root = Arc::new(MemoryFs::new(u64::MAX));
    make_places(&root, path, volumes).map_err(|(path, error)| match error {
        eryx_vfs::Error::AlreadyExists => Error::invalid(
            "volumes",
            format!(
                "a file cannot be mounted at {}, which is a directory",
                quoted(path)
            ),
        ),
        error => Error::Internal(format!("a mount point: {error}")),
    })?;
    Ok(root.fork())
}

/// Makes a place for every mount that has none in `root` yet.
fn make_places<'p>(
    root: &Arc<MemoryFs>,
    path: &'p str,
    volumes: &'p [(String, HostFs)],
) -> Result<(), (&'p str, eryx_vfs::Error)> {
    let namespace = Namespace::new(Arc::clone(root) as _);
    for directory in DIRECTORIES.into_iter().chain([path]) {
        make_directories(&namespace, directory).map_err(|error| (directory, error))?;
    }
    for (path, volume) in volumes {
        let made = if volume.kind() == Kind::Directory {
            make_directories(&namespace, path)
        } else {
            make_file(&namespace, path)
        };
        made.map_err(|error| (path.as_str(), error))?;
    }
    Ok(())
}

/// Makes a file and the directories above it.
fn make_file(namespace: &Namespace, path: &str) -> eryx_vfs::Result<()> {
    let above = path.rfind('/').map_or("", |at| &path[..at]);
    make_directories(namespace, above)?;
    match namespace.create_file(namespace.root(), path) {
        Err(eryx_vfs::Error::AlreadyExists) if is_file(namespace, path) => Ok(()),
        made => made.map(drop),
    }
}

fn is_file(namespace: &Namespace, path: &str) -> bool {
    let found = namespace.resolve(namespace.root(), path, true);
    found
        .and_then(|at| namespace.metadata(at))
        .is_ok_and(|metadata| metadata.kind == Kind::File)
}

/// Makes a directory and those above it.
fn make_directories(namespace: &Namespace, path: &str) -> eryx_vfs::Result<()> {
    let slashes = path.match_indices('/').map(|(at, _)| at);
    for end in slashes.chain([path.len()]).filter(|&end| end > 0) {
        match namespace.create_dir(namespace.root(), &path[..end]) {
            Ok(_) | Err(eryx_vfs::Error::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
