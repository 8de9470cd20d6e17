//! `[drain]`: how the gateway ends.

use gateway_core::DrainConfig;

use super::reader::Field;
use super::units::duration;

pub(super) fn read(field: Field<'_>) -> Option<DrainConfig> {
    let mut table = field.table("{ lame_duck = \"5s\", timeout = \"30s\" }")?;
    let mut drain = DrainConfig::default();
    table.set("lame_duck", &mut drain.lame_duck, |field| duration(&field));
    table.set("timeout", &mut drain.timeout, |field| duration(&field));
    table.finish();
    Some(drain)
}
