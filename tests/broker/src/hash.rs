//! FNV-1a over names and contents: tells whether what was prepared still fits its sources.
//! Used by `prepare`; written out because std's hasher may change between releases.

/// A running 64-bit FNV-1a hash.
#[derive(Debug, Clone)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds one part. Its length goes in too, so that parts cannot run into each other.
    pub(crate) fn part(mut self, bytes: &[u8]) -> Self {
        for &byte in (bytes.len() as u64).to_be_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    /// The hash as a file name.
    pub(crate) fn name(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = Fnv::new().part(b"ab").part(b"c").name();
        let other = Fnv::new().part(b"a").part(b"bc").name();
        assert_ne!(one, other);
        assert_eq!(one, Fnv::new().part(b"ab").part(b"c").name());
    }
}
