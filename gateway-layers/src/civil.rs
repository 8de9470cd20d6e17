//! Dates in UTC.

/// The seconds of a day.
pub(crate) const DAY: u64 = 24 * 3600;

/// Year, month and day of the month of a day that is counted from 1970.
///
/// Years are counted from March, so that the odd day stands at their end; 400 of them repeat.
pub(crate) fn date(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}
