//! `health` and `outlier_detection` of a cluster.

use gateway_core::upstream::health::{
    GrpcProbe, HealthCheck, HttpProbe, OutlierDetectionConfig, Probe, StatusRange,
    SuccessRateConfig,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::reader::Field;
use crate::config::units::some_duration;

const MOST: i64 = 1_000_000;

pub(super) fn check(field: Field<'_>) -> Option<HealthCheck> {
    let mut table = field.table("{ http = { path = \"/healthz\" }, interval = \"10s\" }")?;
    let probe = match table.only_one(&["http", "grpc", "tcp"]) {
        Some(("http", field)) => http(field).map(Probe::from),
        Some(("grpc", field)) => grpc(field).map(Probe::from),
        Some((_, field)) => field.table("{}").map(|table| {
            table.finish();
            Probe::Tcp
        }),
        None => {
            table.field().note("asks nothing, expected one of `http`, `grpc`, `tcp`".to_owned())
        }
    };
    let mut check = HealthCheck::default();
    table.set("interval", &mut check.interval, |field| some_duration(&field));
    table.set("unhealthy_interval", &mut check.unhealthy_interval, |field| {
        some_duration(&field).map(Some)
    });
    table.set("timeout", &mut check.timeout, |field| some_duration(&field));
    table.set("jitter", &mut check.jitter, |field| field.fraction(0.0, 1.0));
    table.set("rise", &mut check.rise, |field| field.number(1, 1000));
    table.set("fall", &mut check.fall, |field| field.number(1, 1000));
    table.set("concurrency", &mut check.concurrency, |field| field.number(1, 10_000));
    table.finish();
    check.probe = probe?;
    Some(check)
}

fn http(field: Field<'_>) -> Option<HttpProbe> {
    let mut table = field.table("{ path = \"/healthz\", status = \"200-299\" }")?;
    let mut probe = HttpProbe::default();
    table.set("method", &mut probe.method, |field| field.parse("a method such as \"GET\""));
    table.set("path", &mut probe.path, |field| {
        field.parse("a path such as \"/healthz\", with an optional query")
    });
    table.set("host", &mut probe.host, |field| {
        let expected = "a host name with an optional port";
        let host = HeaderValue::from_str(field.text(expected)?).ok();
        host.or_else(|| field.reject(expected)).map(Some)
    });
    table.set("headers", &mut probe.headers, |field| Some(headers(&field)));
    table.set("status", &mut probe.status, |field| {
        let expected = "a range of statuses such as \"200-299\", or several: \"200, 204\"";
        StatusRange::list(field.text(expected)?).ok().or_else(|| field.reject(expected))
    });
    table.set("body", &mut probe.body, |field| {
        field.name("a text that the answer contains").map(|text| Some(text.into()))
    });
    table.finish();
    Some(probe)
}

fn headers(field: &Field<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, field) in field.entries("a table such as { x-a = \"1\" }") {
        let value = field.text("text").and_then(|text| HeaderValue::from_str(text).ok());
        match (name.parse::<HeaderName>(), value) {
            (Ok(name), Some(value)) => {
                headers.append(name, value);
            }
            _ => {
                field.reject::<()>("a header field");
            }
        }
    }
    headers
}

fn grpc(field: Field<'_>) -> Option<GrpcProbe> {
    let mut table = field.table("{ service = \"\" }")?;
    let mut probe = GrpcProbe::default();
    table.set("service", &mut probe.service, |field| {
        field.text("the name of a service").map(Into::into)
    });
    table.finish();
    Some(probe)
}

pub(super) fn ejection(field: Field<'_>) -> Option<Option<OutlierDetectionConfig>> {
    if field.peek_text() == Some("off") {
        return Some(None);
    }
    let mut table =
        field.table("{ consecutive_failures = 5, base_ejection_time = \"30s\" }, or \"off\"")?;
    let mut ejection = OutlierDetectionConfig::default();
    table.set("consecutive_failures", &mut ejection.consecutive_failures, |field| {
        match field.peek_text() {
            Some("off") => Some(None),
            _ => field.number(1, MOST).map(Some),
        }
    });
    table.set("interval", &mut ejection.interval, |field| some_duration(&field));
    table
        .set("base_ejection_time", &mut ejection.base_ejection_time, |field| some_duration(&field));
    table.set("max_ejection_time", &mut ejection.max_ejection_time, |field| some_duration(&field));
    table.set("max_ejected_ratio", &mut ejection.max_ejected_ratio, |field| {
        field.fraction(0.0, 1.0)
    });
    table.set("success_rate", &mut ejection.success_rate, |field| success_rate(field).map(Some));
    if ejection.max_ejection_time < ejection.base_ejection_time
        && let Some(field) =
            table.take("max_ejection_time").or_else(|| table.take("base_ejection_time"))
    {
        field.note::<()>(
            "`max_ejection_time` is less than `base_ejection_time`, expected at least as much"
                .to_owned(),
        );
    }
    table.finish();
    Some(Some(ejection))
}

fn success_rate(field: Field<'_>) -> Option<SuccessRateConfig> {
    let mut table = field.table("{ min_requests = 100, deviations = 1.9 }")?;
    let mut settings = SuccessRateConfig::default();
    table.set("min_requests", &mut settings.min_requests, |field| field.number(1, MOST));
    table.set("min_endpoints", &mut settings.min_endpoints, |field| field.number(2, MOST));
    table.set("deviations", &mut settings.deviations, |field| field.fraction(0.1, 10.0));
    table.finish();
    Some(settings)
}
