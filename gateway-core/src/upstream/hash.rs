//! A hash that stays the same: between gateways, restarts and versions.

/// The golden ratio in 64 bits: multiples of it spread evenly over the whole range.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The hash of `bytes`: FNV-1a in 64 bits, mixed. The same for ever, because gateways beside each
/// other and after an update are to send the same key to the same endpoint. Not made against
/// people who look for two keys with one hash: all that they get is one endpoint for both.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let hash = bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    mix(hash)
}

/// Every bit of the result depends on every bit of `number` (the mixer of `SplitMix64`). One to
/// one.
pub(crate) const fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// `number`, which may be anything, as one below `count`: the upper bits decide.
pub(crate) fn scaled(number: u64, count: u64) -> u64 {
    ((u128::from(number) * u128::from(count)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(stable_hash(b""), mix(0xCBF2_9CE4_8422_2325));
        assert_eq!(stable_hash(b"foobar"), mix(0x8594_4171_F739_67E8));
    }

    #[test]
    fn neighbours_are_spread() {
        let mut buckets = [0_u32; 16];
        for number in 0..16_000 {
            let hash = stable_hash(format!("user-{number}").as_bytes());
            buckets[scaled(hash, 16) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1150).contains(count)), "{buckets:?}");
    }
}
