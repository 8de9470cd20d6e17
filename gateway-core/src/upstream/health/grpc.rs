//! [`GrpcProbe`]: the gRPC health checking protocol.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Version};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::http::{MAX_BODY, USER_AGENT};
use super::probe::told;
use crate::body::Body;
use crate::error::GRPC_STATUS;
use crate::upstream::address::EndpointAddress;
use crate::upstream::connect::Connector;
use crate::upstream::forward;

/// Asks `grpc.health.v1.Health/Check`, over HTTP/2 with prior knowledge also where the endpoint is
/// an `http` or `unix` one, and expects `SERVING`. `https` endpoints cannot be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrpcProbe {
    /// The service that is asked for. Default: empty, the server as a whole.
    pub service: String,
}

/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u64 = 1;

impl GrpcProbe {
    /// Asks for `service`.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    pub(super) async fn ask(
        &self,
        connector: &Connector,
        address: &EndpointAddress,
        by: Instant,
    ) -> Result<(), String> {
        let request = self.request(address);
        let answer = forward::send_once(connector, address, request, Version::HTTP_2, by);
        let answer = answer.await.map_err(|error| told(&error))?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("status {}, expected 200", answer.status().as_str()));
        }
        let (head, body) = answer.into_parts();
        if head.headers.contains_key(&GRPC_STATUS) {
            // Trailers only: there is no message.
            succeeded(&head.headers)?;
        }
        let (message, trailers) = read(body).await?;
        if let Some(trailers) = trailers {
            succeeded(&trailers)?;
        } else if !head.headers.contains_key(&GRPC_STATUS) {
            return Err("an answer without a gRPC status".to_owned());
        }
        match serving_status(&message).ok_or("an answer that is no HealthCheckResponse")? {
            SERVING => Ok(()),
            0 => Err("UNKNOWN, expected SERVING".to_owned()),
            2 => Err("NOT_SERVING, expected SERVING".to_owned()),
            3 => Err("SERVICE_UNKNOWN, expected SERVING".to_owned()),
            other => Err(format!("the serving status {other}, expected SERVING")),
        }
    }

    fn request(&self, address: &EndpointAddress) -> http::Request<Body> {
        let mut request = http::Request::new(Body::full(message(&self.service)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = PathAndQuery::from_static("/grpc.health.v1.Health/Check").into();
        let headers = request.headers_mut();
        headers.insert(header::HOST, address.host_header().clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        request
    }
}

fn succeeded(fields: &HeaderMap) -> Result<(), String> {
    let status = fields.get(&GRPC_STATUS).map(HeaderValue::as_bytes);
    match status {
        Some(b"0") => Ok(()),
        None => Err("an answer without a gRPC status".to_owned()),
        Some(status) => Err(format!("the gRPC status {}", String::from_utf8_lossy(status))),
    }
}

async fn read(mut body: Body) -> Result<(BytesMut, Option<HeaderMap>), String> {
    let mut message = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| told(&error))?.into_data() {
            Ok(data) if message.len() + data.len() > MAX_BODY => {
                return Err("an answer of more than 64 KiB".to_owned());
            }
            Ok(data) => message.extend_from_slice(&data),
            Err(frame) => return Ok((message, frame.into_trailers().ok())),
        }
    }
    Ok((message, None))
}

/// `HealthCheckRequest { service = 1 }` with the prefix of a gRPC message.
fn message(service: &str) -> Bytes {
    let mut request = BytesMut::new();
    if !service.is_empty() {
        request.put_u8(1 << 3 | 2);
        put_varint(&mut request, service.len() as u64);
        request.extend_from_slice(service.as_bytes());
    }
    let mut message = BytesMut::with_capacity(request.len() + 5);
    message.put_u8(0);
    message.put_u32(u32::try_from(request.len()).unwrap_or(u32::MAX));
    message.unsplit(request);
    message.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// `status = 1` of the `HealthCheckResponse` in a gRPC message; `None` when it is malformed.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    // Nobody said that compressed answers are understood.
    if message.try_get_u8().ok()? != 0 {
        return None;
    }
    let length = message.try_get_u32().ok()?;
    if message.len() != length as usize {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let skipped = match key & 7 {
            0 => {
                let value = varint(&mut message)?;
                if key >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        message = message.get(skipped..)?;
    }
    Some(status)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_encoded_as_the_protocol_says() {
        assert_eq!(*message(""), [0, 0, 0, 0, 0]);
        assert_eq!(*message("a.B"), *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = message(&"x".repeat(300));
        assert_eq!(long[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn answers_are_decoded_with_fields_nobody_knows() {
        assert_eq!(serving_status(b"\0\0\0\0\0"), Some(0));
        assert_eq!(serving_status(b"\0\0\0\0\x02\x08\x01"), Some(SERVING));
        let unknown = b"\0\0\0\0\x14\x12\x02ab\x19abcdefgh\x25abcd\x08\x02";
        assert_eq!(serving_status(unknown), Some(2));
        for malformed in [
            &b""[..],
            b"\0\0\0\0\x02\x08",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x02\x12\x05",
            b"\0\0\0\0\x01\x0b",
            b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(serving_status(malformed), None, "{malformed:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_are_written(value: u64) {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            prop_assert_eq!(varint(&mut &out[..]), Some(value));
        }

        #[test]
        fn no_answer_is_too_strange(mut body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = serving_status(&body);
            let length = body.len() as u8;
            body.splice(0..0, [0, 0, 0, 0, length]);
            let _ = serving_status(&body);
        }
    }
}
