//! Bodies that can be made and checked at any length without being kept.

use bytes::Bytes;

// A prime, so that no block size of a proxy lines up with the period.
const PERIOD: usize = 65_521;

/// An endless sequence of bytes; two seeds never agree for long.
#[derive(Clone, Debug)]
pub struct Pattern {
    twice: Bytes,
}

impl Pattern {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut block = Vec::with_capacity(PERIOD * 2);
        for _ in 0..PERIOD {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.push((state >> 24) as u8);
        }
        block.extend_from_within(..);
        Self { twice: block.into() }
    }

    /// Up to one period of bytes, starting `offset` bytes into the sequence.
    pub fn at(&self, offset: u64, length: usize) -> Bytes {
        let start = (offset % PERIOD as u64) as usize;
        self.twice.slice(start..start + length.min(PERIOD))
    }

    /// The first `length` bytes.
    pub fn bytes(&self, length: usize) -> Bytes {
        let mut all = Vec::with_capacity(length);
        while all.len() < length {
            let more = self.at(all.len() as u64, length - all.len());
            all.extend_from_slice(&more);
        }
        all.into()
    }

    /// Something that compares a body to this sequence while it arrives.
    pub fn verifier(&self) -> Verifier {
        Verifier { pattern: self.clone(), offset: 0, exact: true }
    }
}

/// Compares a body to a [`Pattern`] piece by piece.
#[derive(Clone, Debug)]
pub struct Verifier {
    pattern: Pattern,
    offset: u64,
    exact: bool,
}

impl Verifier {
    /// Takes the next piece of the body.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let expected = self.pattern.at(self.offset, piece.len());
            let (head, rest) = piece.split_at(expected.len());
            self.exact &= head == expected;
            self.offset += head.len() as u64;
            piece = rest;
        }
    }

    /// How many bytes came.
    pub fn length(&self) -> u64 {
        self.offset
    }

    /// Whether every byte so far was the right one.
    pub fn exact(&self) -> bool {
        self.exact
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_verifier_accepts_its_own_bytes_in_any_pieces() {
        let pattern = Pattern::new(7);
        let body = pattern.bytes(200_000);
        for size in [1_000, 65_521, 65_522, 199_999] {
            let mut verifier = pattern.verifier();
            body.chunks(size).for_each(|piece| verifier.feed(piece));
            assert!(verifier.exact(), "pieces of {size}");
            assert_eq!(verifier.length(), 200_000);
        }
    }

    #[test]
    fn a_verifier_notices_one_wrong_byte() {
        let pattern = Pattern::new(7);
        let mut body = pattern.bytes(200_000).to_vec();
        body[150_000] ^= 1;
        let mut verifier = pattern.verifier();
        verifier.feed(&body);
        assert!(!verifier.exact());
    }
}
