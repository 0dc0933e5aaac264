//! Checked access to a guest's linear memory. Every pointer and length in it is chosen by the guest.

/// A range that is not inside the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault;

/// The bytes of one guest.
pub(crate) struct GuestMemory<'a>(&'a mut [u8]);

impl<'a> GuestMemory<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// `size` bytes at `at`.
    pub(crate) fn bytes(&self, at: u32, size: u32) -> Result<&[u8], Fault> {
        let from = at as usize;
        self.0.get(from..from + size as usize).ok_or(Fault)
    }

    /// The same, to write to.
    pub(crate) fn bytes_mut(&mut self, at: u32, size: u32) -> Result<&mut [u8], Fault> {
        let from = at as usize;
        self.0.get_mut(from..from + size as usize).ok_or(Fault)
    }

    pub(crate) fn write(&mut self, at: u32, data: &[u8]) -> Result<(), Fault> {
        let size = u32::try_from(data.len()).map_err(|_| Fault)?;
        self.bytes_mut(at, size)?.copy_from_slice(data);
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&self, at: u32) -> Result<[u8; N], Fault> {
        self.0
            .get(at as usize..)
            .and_then(|tail| tail.first_chunk())
            .copied()
            .ok_or(Fault)
    }

    pub(crate) fn u32(&self, at: u32) -> Result<u32, Fault> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// Text of `size` bytes. `None` if it is not UTF-8.
    pub(crate) fn text(&self, at: u32, size: u32) -> Result<Option<&str>, Fault> {
        Ok(std::str::from_utf8(self.bytes(at, size)?).ok())
    }

    /// Text up to a NUL, cut at `max` bytes, lossy. For messages only.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn c_string(&self, at: u32, max: usize) -> Result<String, Fault> {
        let tail = self.0.get(at as usize..).ok_or(Fault)?;
        let size = tail
            .iter()
            .take(max)
            .position(|&byte| byte == 0)
            .unwrap_or(max.min(tail.len()));
        Ok(String::from_utf8_lossy(&tail[..size]).into_owned())
    }

    /// The `index`th (pointer, length) pair of an array of WASI `iovec`s.
    pub(crate) fn iovec(&self, array: u32, index: u32) -> Result<(u32, u32), Fault> {
        let at = index
            .checked_mul(8)
            .and_then(|offset| array.checked_add(offset))
            .ok_or(Fault)?;
        Ok((self.u32(at)?, self.u32(at.checked_add(4).ok_or(Fault)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_are_faults() {
        let mut bytes = *b"0123456789abcdef";
        let mut memory = GuestMemory::new(&mut bytes);
        assert_eq!(memory.bytes(0, 16), Ok(&b"0123456789abcdef"[..]));
        assert_eq!(memory.bytes(16, 0), Ok(&b""[..]));
        for (at, size) in [
            (17, 0),
            (16, 1),
            (0, 17),
            (u32::MAX, u32::MAX),
            (1, u32::MAX),
        ] {
            assert_eq!(memory.bytes(at, size), Err(Fault), "{at}+{size}");
            assert_eq!(memory.bytes_mut(at, size), Err(Fault), "{at}+{size}");
        }
        assert_eq!(memory.write(15, b"xy"), Err(Fault));
        assert_eq!(memory.u32(13), Err(Fault));
        assert_eq!(memory.array::<16>(1), Err(Fault));
        assert_eq!(memory.iovec(0, u32::MAX), Err(Fault));
        assert_eq!(memory.iovec(u32::MAX - 3, 0), Err(Fault));
        assert_eq!(memory.c_string(99, 5), Err(Fault));
        assert_eq!(memory.c_string(12, 99), Ok("cdef".to_owned()));
    }
}
