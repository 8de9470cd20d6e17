//! What must stay secret stands in nothing that is printed.

use super::*;

#[tokio::test]
async fn no_secret_is_in_anything_that_is_printed() {
    const PLANTED: &str = "open-sesame-open-sesame";
    let server = Server::new(Does::says(&ada_with("note", json!(PLANTED))));
    let credentials = ClientCredentials::basic("gateway", PLANTED);
    let bearer = ClientCredentials::bearer(PLANTED);
    let introspection = Introspection::new(server.place(), credentials.clone())
        .with_clock(FakeClock::new())
        .forward(Forward::new().field(USER, "note"));
    let tokens = introspection.clone().build().unwrap();
    let identity = tokens.verify(PLANTED).await.unwrap();
    let asked = server.last();
    let delegated = Delegated::new(server.place());
    let url = RemoteServer::url(&format!("https://issuer.example/check?key={PLANTED}"));
    let user = RemoteServer::url(&format!("https://gateway:{PLANTED}@issuer.example/check"));
    let wrong = Introspection::new(user.clone(), credentials.clone()).build().unwrap_err();
    let unsendable = ClientCredentials::bearer(format!("{PLANTED}\n"));
    let unsendable = Introspection::new(server.place(), unsendable).build().unwrap_err();
    server.now(Does::Says(200, "application/json", PLANTED.into()));
    let unread = tokens.verify(&format!("{PLANTED}-1")).await.unwrap_err();
    let unread_status = tokens.status();
    server.now(Does::says(&json!({"active": false, "note": PLANTED})));
    let rejected = tokens.verify(&format!("{PLANTED}-2")).await.unwrap_err();
    let printed = [
        format!("{credentials:?} {bearer:?} {introspection:?} {tokens:?} {identity:?}"),
        format!("{delegated:?} {url:?} {user:?} {wrong} {wrong:?} {unsendable} {unsendable:?}"),
        format!("{unread} {unread:?} {:?} {unread_status:?}", unread.fields()),
        format!("{rejected} {rejected:?} {:?} {:?}", rejected.fields(), tokens.status()),
        format!("{:?} {:?}", asked.headers, identity.principal),
    ];
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("gateway:{PLANTED}"));
    for text in printed {
        for secret in [PLANTED, &*basic] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
