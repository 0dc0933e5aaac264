//! `/dev`.

use std::sync::Arc;

use eryx_vfs::{Device, DeviceFs, Error, FileSystem, Kind, MemoryFs, Namespace, NodeId};

fn namespace() -> Namespace {
    let root = MemoryFs::new(1 << 20);
    let mut namespace = Namespace::new(Arc::new(root));
    namespace.create_dir(namespace.root(), "/dev").unwrap();
    let fill = |buffer: &mut [u8]| {
        buffer.fill(7);
        true
    };
    let devices = Arc::new(DeviceFs::new(fill));
    namespace.mount("/dev", devices).unwrap();
    namespace
}

#[test]
fn bytes() {
    let namespace = namespace();
    let at = |name: &str| namespace.resolve(namespace.root(), name, true).unwrap();
    for (name, fills, takes) in [
        ("/dev/null", None, true),
        ("/dev/zero", Some(0), true),
        ("/dev/full", Some(0), false),
        ("/dev/random", Some(7), true),
        ("/dev/urandom", Some(7), true),
    ] {
        let node = at(name);
        let fs = namespace.fs(node);
        assert_eq!(fs.metadata(node.node).unwrap().kind, Kind::Device);
        assert_eq!(fs.device(node.node), Some(Device::Bytes));
        for offset in [0, u64::MAX] {
            let mut buffer = [1; 16];
            let read = fs.read(node.node, offset, &mut buffer).unwrap();
            match fills {
                None => assert_eq!(read, 0),
                Some(byte) => assert_eq!((read, buffer), (16, [byte; 16])),
            }
            let wrote = fs.write(node.node, offset, b"abc");
            let wanted = if takes { Ok(3) } else { Err(Error::NoSpace) };
            assert_eq!(wrote, wanted, "{name}");
        }
        assert_eq!(fs.append(node.node, b"abc").is_ok(), takes);
        assert_eq!(fs.set_len(node.node, 0), Err(Error::InvalidInput));
    }
}

#[test]
fn one_read_is_bounded() {
    let devices = DeviceFs::new(|_| true);
    for name in ["zero", "full", "random", "urandom"] {
        let node = devices.lookup(devices.root(), name).unwrap();
        let mut buffer = vec![1; 1 << 20];
        assert_eq!(devices.read(node, 0, &mut buffer), Ok(1 << 16));
    }
}

#[test]
fn no_randomness() {
    let devices = DeviceFs::new(|_| false);
    let node = devices.lookup(devices.root(), "urandom").unwrap();
    assert_eq!(devices.read(node, 0, &mut [0; 4]), Err(Error::Failed));
}

#[test]
fn names_of_descriptors() {
    let namespace = namespace();
    let device = |name: &str| {
        let at = namespace.resolve(namespace.root(), name, true).ok()?;
        namespace.fs(at).device(at.node)
    };
    for (name, number) in [("stdin", 0), ("stdout", 1), ("stderr", 2)] {
        let wanted = Some(Device::Descriptor(number));
        assert_eq!(device(&format!("/dev/{name}")), wanted);
        assert_eq!(device(&format!("/dev/fd/{number}")), wanted);
    }
    assert_eq!(device("/dev/fd/65535"), Some(Device::Descriptor(65_535)));
    assert_eq!(device("/dev/fd"), Some(Device::Descriptors));
    for name in ["65536", "-1", "+1", "01", "x", "99999999999999999999"] {
        assert_eq!(device(&format!("/dev/fd/{name}")), None, "{name}");
    }
}

#[test]
fn nothing_can_be_changed() {
    let devices = DeviceFs::new(|_| true);
    let root = devices.root();
    assert_eq!(devices.create_file(root, "new"), Err(Error::Denied));
    assert_eq!(devices.create_dir(root, "null"), Err(Error::AlreadyExists));
    assert_eq!(devices.create_symlink(root, "new", "x"), Err(Error::Denied));
    assert_eq!(devices.unlink(root, "null"), Err(Error::Denied));
    assert_eq!(devices.unlink(root, "new"), Err(Error::NotFound));
    assert_eq!(devices.remove_dir(root, "fd"), Err(Error::Denied));
    let renamed = devices.rename(root, "null", root, "zero");
    assert_eq!(renamed, Err(Error::Denied));
    let null = devices.lookup(root, "null").unwrap();
    assert_eq!(devices.hard_link(null, root, "new"), Err(Error::Denied));
    assert_eq!(devices.lookup(null, "x"), Err(Error::NotADirectory));
}

#[test]
fn nodes_that_are_none() {
    let devices = DeviceFs::new(|_| true);
    for number in [0, 11, 0xffff, 0x2_0000, u64::MAX] {
        let node = NodeId(number);
        assert_eq!(devices.metadata(node), Err(Error::NotFound), "{number}");
        assert_eq!(devices.device(node), None, "{number}");
        assert_eq!(devices.read(node, 0, &mut [0]), Err(Error::NotFound));
        assert_eq!(devices.write(node, 0, &[0]), Err(Error::NotFound));
        assert_eq!(devices.read_dir(node, 0, 9), Err(Error::NotFound));
    }
}

#[test]
fn listing_goes_on_behind_a_cookie() {
    let devices = DeviceFs::new(|_| true);
    let all = devices.read_dir(devices.root(), 0, usize::MAX).unwrap();
    assert_eq!(all.len(), 9);
    let mut cookie = 0;
    for wanted in &all {
        let next = devices.read_dir(devices.root(), cookie, 1).unwrap();
        assert_eq!(next, std::slice::from_ref(wanted));
        cookie = next[0].next;
    }
    let behind = devices.read_dir(devices.root(), cookie, 1).unwrap();
    assert!(behind.is_empty());
    let far = devices.read_dir(devices.root(), u64::MAX, 1).unwrap();
    assert!(far.is_empty());
}
