//! `[drain]`: how the gateway ends.

use gateway_core::DrainSettings;

use super::reader::Field;
use super::units::duration;

pub(super) fn read(field: Field<'_>) -> Option<DrainSettings> {
    let mut table = field.table("{ lame_duck = \"5s\", deadline = \"30s\" }")?;
    let mut drain = DrainSettings::default();
    table.set("lame_duck", &mut drain.lame_duck, |field| duration(&field));
    table.set("deadline", &mut drain.deadline, |field| duration(&field));
    table.finish();
    Some(drain)
}
