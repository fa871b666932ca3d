//! Rust and Python agree: both pass the cases of `tests/portable/agreement.json`.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::carrier::{Accept, Carrier, Codec, Deadline, Level, Portable, Received};
use ctxvars::{Context, ContextVar};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::str;
use std::sync::LazyLock;
use std::time::Duration;

#[cfg(feature = "signing")]
use ctxvars::carrier::Signer;

static TEXT: ContextVar<String> = ContextVar::new("text");
static NUMBER: ContextVar<i64> = ContextVar::new("number");
static FLAG: ContextVar<bool> = ContextVar::new("flag");
static RATIO: ContextVar<f64> = ContextVar::new("ratio");
static KEY: ContextVar<Vec<u8>> = ContextVar::new("key");
static NAME: ContextVar<Option<String>> = ContextVar::new("name");
static DEPTH: ContextVar<u64> = ContextVar::new("depth");

static CARRIER: LazyLock<Carrier> = LazyLock::new(|| {
    let depth = Portable::new(&DEPTH, "tests.depth")
        .version(3)
        .older(1, |text| Some(text.chars().count() as u64))
        .older(2, |text| u64::decode(text).map(|depth| depth * 2));
    Carrier::builder()
        .with(Portable::new(&TEXT, "tests.text"))
        .with(Portable::new(&NUMBER, "tests.number").validate(|number| *number >= -9))
        .with(Portable::new(&FLAG, "tests.flag"))
        .with(Portable::new(&RATIO, "tests.ratio").to(Level::Public))
        .with(Portable::new(&KEY, "tests.key").to(Level::Process))
        .with(Portable::new(&NAME, "tests.name").to(Level::Public))
        .with(depth)
        .build()
        .unwrap()
});

static CASES: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/portable/agreement.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
});

fn cases(section: &str) -> &'static [Value] {
    CASES[section].as_array().unwrap()
}

/// The texts of a field, which need not be there.
fn texts(case: &Value, field: &str) -> Vec<String> {
    case[field].as_array().into_iter().flatten().map(expanded).collect()
}

/// A text, or a list of texts and of repeated texts.
fn expanded(header: &Value) -> String {
    let part = |part: &Value| match part {
        Value::String(text) => text.clone(),
        _ => part[0].as_str().unwrap().repeat(part[1].as_u64().unwrap() as usize),
    };
    match header {
        Value::Array(parts) => parts.iter().map(part).collect(),
        _ => part(header),
    }
}

fn level(name: &str) -> Level {
    match name {
        "process" => Level::Process,
        "internal" => Level::Internal,
        "public" => Level::Public,
        _ => panic!("there is no level {name}"),
    }
}

fn set<T: Codec + Send + Sync + 'static>(
    context: Context,
    variable: &ContextVar<T>,
    text: &str,
) -> Context {
    context.with_value(variable, T::decode(text).unwrap())
}

fn with_text(context: Context, name: &str, text: &str) -> Context {
    match name {
        "tests.text" => set(context, &TEXT, text),
        "tests.number" => set(context, &NUMBER, text),
        "tests.flag" => set(context, &FLAG, text),
        "tests.ratio" => set(context, &RATIO, text),
        "tests.key" => set(context, &KEY, text),
        "tests.name" => set(context, &NAME, text),
        "tests.depth" => set(context, &DEPTH, text),
        _ => panic!("there is no variable {name}"),
    }
}

fn text_in<T: Codec + Send + Sync + 'static>(
    context: &Context,
    variable: &ContextVar<T>,
) -> Option<String> {
    context.get(variable).map(T::encode)
}

/// The texts of the values in a context, by name.
fn texts_in(context: &Context) -> BTreeMap<&'static str, String> {
    let deadline = context.clone().run(Deadline::current);
    let texts = [
        // The value depends on the time.
        ("ctxvars.deadline", deadline.map(|_| String::new())),
        ("tests.text", text_in(context, &TEXT)),
        ("tests.number", text_in(context, &NUMBER)),
        ("tests.flag", text_in(context, &FLAG)),
        ("tests.ratio", text_in(context, &RATIO)),
        ("tests.key", text_in(context, &KEY)),
        ("tests.name", text_in(context, &NAME)),
        ("tests.depth", text_in(context, &DEPTH)),
    ];
    texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

/// Whether the case can be tested: without the feature, those with signatures cannot.
fn is_testable(case: &Value) -> bool {
    cfg!(feature = "signing") || case["signer"].is_null()
}

#[cfg(feature = "signing")]
fn signer(case: &Value) -> Option<Signer> {
    use std::time::UNIX_EPOCH;

    let keys = case["signer"]["keys"].as_object()?;
    let now = UNIX_EPOCH + Duration::from_secs(case["signer"]["now"].as_u64()?);
    let keys = keys.iter().map(|(name, secret)| (name, secret.as_str().unwrap()));
    let signer = Signer::new(keys).unwrap().max_age(Duration::from_secs(60));
    Some(signer.leeway(Duration::from_secs(30)).clock(move || now))
}

fn inject(case: &Value) -> Value {
    let mut headers: Vec<(String, String)> =
        texts(case, "present").into_iter().map(|value| ("baggage".into(), value)).collect();
    let foreign = texts(case, "foreign");
    let sending = CARRIER.sending(level(case["to"].as_str().unwrap())).foreign(&foreign);
    #[cfg(feature = "signing")]
    let signer = signer(case);
    #[cfg(feature = "signing")]
    let sending = signer.as_ref().map_or(sending, |signer| sending.signer(signer));
    match sending.inject(&mut headers) {
        Ok(()) => json!(headers.into_iter().map(|(_, value)| value).collect::<Vec<_>>()),
        // Python quotes the name in another way.
        Err(error) => json!(error.to_string().replace('"', "'")),
    }
}

fn extract(case: &Value) -> Received {
    let accept = match &case["accept"] {
        Value::String(name) => Accept::from(level(name)),
        names => CARRIER.accept(names.as_array().unwrap().iter().flat_map(Value::as_str)).unwrap(),
    };
    let receiving = CARRIER.receiving(accept);
    #[cfg(feature = "signing")]
    let signer = signer(case);
    #[cfg(feature = "signing")]
    let receiving = match &signer {
        Some(signer) => receiving.signer(signer),
        None => receiving,
    };
    let octets = |text: String| text.chars().map(|it| it as u8).collect::<Vec<_>>();
    receiving.extract_values(texts(case, "headers").into_iter().map(octets))
}

#[test]
fn headers_are_those_of_python() {
    for case in cases("inject").iter().filter(|case| is_testable(case)) {
        let values = case["values"].as_object().unwrap();
        let mut context = values.iter().fold(Context::new(), |context, (name, text)| {
            with_text(context, name, &expanded(text))
        });
        let expected = if case["error"].is_null() { &case["headers"] } else { &case["error"] };
        assert_eq!(&context.run(|| inject(case)), expected, "{case}");
    }
}

#[test]
fn values_are_those_of_python() {
    for case in cases("extract").iter().filter(|case| is_testable(case)) {
        let received = extract(case);
        let values = texts_in(&received.apply_to(Context::new()));
        let mut errors: Vec<_> = received
            .errors()
            .iter()
            .map(|it| (it.name.unwrap_or_default(), it.reason.to_string(), it.members))
            .collect();
        errors.sort();
        let result = json!({"values": values, "errors": errors, "foreign": received.foreign()});
        let expected = ["values", "errors", "foreign"].map(|field| (field, case[field].clone()));
        assert_eq!(result, Value::from_iter(expected), "{case}");
    }
}

#[test]
fn texts_are_those_of_python() {
    for case in cases("encode") {
        let data = case[1].as_str().unwrap().as_bytes();
        let octet =
            |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap();
        let octets: Vec<u8> = data.chunks(2).map(octet).collect();
        let text = match case[0].as_str().unwrap() {
            "float" => f64::from_be_bytes(octets.try_into().unwrap()).encode(),
            "bytes" => octets.encode(),
            kind => panic!("there is no codec {kind}"),
        };
        assert_eq!(text, case[2].as_str().unwrap(), "{case}");
    }
    for case in cases("decode") {
        let text = case[1].as_str().unwrap();
        let decoded = match case[0].as_str().unwrap() {
            "str" => again::<String>(text),
            "int" => again::<i64>(text),
            "bool" => again::<bool>(text),
            "float" => again::<f64>(text),
            "bytes" => again::<Vec<u8>>(text),
            "str | None" => again::<Option<String>>(text),
            "int | None" => again::<Option<i64>>(text),
            kind => panic!("there is no codec {kind}"),
        };
        assert_eq!(decoded.as_deref(), case[2].as_str(), "{case}");
    }
}

/// The text of the value of a text.
fn again<T: Codec>(text: &str) -> Option<String> {
    T::decode(text).as_ref().map(T::encode)
}

#[test]
fn the_text_of_a_deadline_is_that_of_python() {
    for (seconds, text) in [(0, "0.000"), (300_000_000, "99999999.000")] {
        let value = Deadline::after(Duration::from_secs(seconds))
            .scope(|| CARRIER.sending(Level::Internal).value());
        assert_eq!(value.unwrap().unwrap(), format!("ctxvars.deadline={text}"));
    }
}
