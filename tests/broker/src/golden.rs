//! The golden programs: small Java mains that print, line by line, what Kafka's own classes do. Run them
//! with [`Java::run`](crate::Java::run) or [`Java::run_with_input`](crate::Java::run_with_input).
//!
//! Each is deterministic in its seed. Columns are separated by one blank; bytes are lower-case hex, null
//! is `-`, empty bytes are `_`; headers are `hexkey=hexvalue` joined by `;`. The exact columns stand in the
//! comment of each Java class. [`bytes`] and [`headers`] read them.

/// `seed n`: keys with murmur2 and their partitions out of 7 and 12.
pub const PARTITIONS: &str = "kstreams.GoldenPartitions";
/// `seed n`: n values of each built-in serde with their bytes.
pub const SERDES: &str = "kstreams.GoldenSerdes";
/// `seed n`: n operations on key-value stores with their changelog records; then n stored values.
pub const CHANGELOG: &str = "kstreams.GoldenChangelog";
/// `seed n`: n operations on window, session and versioned stores with their changelog records; then n
/// windowed keys.
pub const STORES: &str = "kstreams.GoldenStores";
/// Without arguments [`CASES`], with `--stdin` topologies from there: the text of `describe()`.
pub const DESCRIBE: &str = "kstreams.GoldenDescribe";
/// Without arguments [`CASES`], with `--stdin` topologies from there: sub-topologies, internal topics and
/// tasks.
pub const TASKS: &str = "kstreams.GoldenTasks";
/// On stdin topologies of the DSL and their input: their `describe()`, and all they write on the
/// `TopologyTestDriver`. Runs for as long as it is sent cases.
pub const DSL: &str = "kstreams.DslRun";

/// `bootstrap application-id topic`: an application on a real broker with a store of each kind; runs until it
/// has processed or restored the keys `end-0` and `end-1`, then prints what it restored and what it holds.
pub const STORE_APP: &str = "kstreams.StoreApp";
/// `bootstrap application-id input output state-dir session-timeout`: counts per key on a real broker until it is
/// killed, and tells when it was assigned, restored and running.
pub const COUNT_APP: &str = "kstreams.CountApp";
/// `bootstrap application-id input-prefix group-protocol state-dir`: a shop in the DSL on a real broker, until
/// its stdin ends.
pub const RELAY_APP: &str = "kstreams.RelayApp";

/// The topologies that [`DESCRIBE`] prints without arguments, in the language of `TopologyText.java`.
pub const CASES: &str = include_str!("../java/src/main/resources/kstreams/describe-cases.txt");

/// Splits what [`DESCRIBE`] and [`TASKS`] print, or [`CASES`], into names and texts.
///
/// ```
/// use kstreams_broker::golden;
///
/// let cases = golden::cases("=== one\na\nb\n=== two\nc\n");
/// assert_eq!(cases, [("one", "a\nb\n"), ("two", "c\n")]);
/// ```
pub fn cases(text: &str) -> Vec<(&str, &str)> {
    let mut cases = Vec::new();
    let mut rest = text.find("=== ").map_or("", |start| &text[start..]);
    while let Some(headed) = rest.strip_prefix("=== ") {
        let (name, body) = headed.split_once('\n').unwrap_or((headed, ""));
        let end = match body.starts_with("=== ") {
            true => 0,
            false => body.find("\n=== ").map_or(body.len(), |end| end + 1),
        };
        cases.push((name, &body[..end]));
        rest = &body[end..];
    }
    cases
}

/// Reads a column of bytes: `None` for null. `Err` gives the text back when it is not hex.
///
/// ```
/// use kstreams_broker::golden;
///
/// assert_eq!(golden::bytes("-"), Ok(None));
/// assert_eq!(golden::bytes("_"), Ok(Some(vec![])));
/// assert_eq!(golden::bytes("00ff"), Ok(Some(vec![0, 255])));
/// ```
///
/// # Errors
/// The text itself when it is not of that form.
pub fn bytes(text: &str) -> Result<Option<Vec<u8>>, &str> {
    match text {
        "-" => return Ok(None),
        "_" => return Ok(Some(Vec::new())),
        _ => {}
    }
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or(text)?;
    Ok(Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
}

/// One header of a golden line: its key, and its value or null.
pub type Header = (String, Option<Vec<u8>>);

/// Reads a column of headers.
///
/// ```
/// use kstreams_broker::golden;
///
/// let headers = golden::headers("61=00;62=-")?;
/// assert_eq!(headers, [("a".to_owned(), Some(vec![0])), ("b".to_owned(), None)]);
/// # Ok::<(), &str>(())
/// ```
///
/// # Errors
/// The text itself when it is not of that form.
pub fn headers(text: &str) -> Result<Vec<Header>, &str> {
    if text == "-" {
        return Ok(Vec::new());
    }
    let header = |item| -> Option<Header> {
        let (key, value) = str::split_once(item, '=')?;
        let key = String::from_utf8(bytes(key).ok()??).ok()?;
        Some((key, bytes(value).ok()?))
    };
    text.split(';').map(header).collect::<Option<_>>().ok_or(text)
}
