//! `ejection` of a cluster.

use gateway_core::upstream::health::{EjectionSettings, SuccessRateSettings};

use crate::config::reader::Field;
use crate::config::units::some_duration;

const MOST: i64 = 1_000_000;

pub(super) fn ejection(field: Field<'_>) -> Option<Option<EjectionSettings>> {
    if field.peek_text() == Some("off") {
        return Some(None);
    }
    let mut table = field.table("{ consecutive = 5, base = \"30s\" }")?;
    let mut ejection = EjectionSettings::default();
    table.set("consecutive", &mut ejection.consecutive, |field| match field.peek_text() {
        Some("off") => Some(None),
        _ => field.number(1, MOST).map(Some),
    });
    table.set("interval", &mut ejection.interval, |field| some_duration(&field));
    table.set("base", &mut ejection.base, |field| some_duration(&field));
    table.set("max", &mut ejection.max, |field| some_duration(&field));
    table.set("max_share", &mut ejection.max_share, |field| field.fraction(0.0, 1.0));
    table.set("success_rate", &mut ejection.success_rate, |field| success_rate(field).map(Some));
    if ejection.max < ejection.base
        && let Some(field) = table.take("max").or_else(|| table.take("base"))
    {
        field.note::<()>("`max` is less than `base`, expected at least as much".to_owned());
    }
    table.finish();
    Some(Some(ejection))
}

fn success_rate(field: Field<'_>) -> Option<SuccessRateSettings> {
    let mut table = field.table("{ min_requests = 100, deviations = 1.9 }")?;
    let mut settings = SuccessRateSettings::default();
    table.set("min_requests", &mut settings.min_requests, |field| field.number(1, MOST));
    table.set("min_endpoints", &mut settings.min_endpoints, |field| field.number(2, MOST));
    table.set("deviations", &mut settings.deviations, |field| field.fraction(0.1, 10.0));
    table.finish();
    Some(settings)
}
