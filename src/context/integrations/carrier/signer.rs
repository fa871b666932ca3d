//! HMAC-SHA256 over the members of a header, with rotating keys and an age.
//!
//! The signature is a member itself: `ctxvars.signature=KEY/TIME/MAC/NAME:NAME`. It lists the names that
//! it covers, because other services add members that have no signature. Slashes and colons are legal in
//! values, but not in names, and so separate the parts. The MAC covers the decoded values: a service in
//! between may encode them in another way.

use super::base64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is signed of a member. They are signed in the order of their names, which are unique.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Signed {
    pub(super) name: &'static str,
    pub(super) version: u16,
    pub(super) text: String,
}

/// The length of the shortest secret, in bytes.
const MIN_KEY_BYTES: usize = 16;

/// The length of the longest name of a key, in bytes.
const MAX_KEY_NAME: usize = 64;

/// Signs headers and verifies their signatures, by HMAC-SHA256 with a shared secret.
///
/// [`Sending::signer`](super::Sending::signer) signs the members of all variables together, so values of
/// two requests cannot be mixed. [`Receiving::signer`](super::Receiving::signer) takes values only from
/// members that a valid signature covers. Signatures of the Python package are the same.
///
/// A signature says that a service with the key has sent these values. It does not hide them, and within
/// [`max_age`](Self::max_age) it can be sent again with another request.
///
/// ```
/// use ctxvars::ContextVar;
/// use ctxvars::carrier::{Carrier, Level, Portable, Reason, Signer};
///
/// static TENANT: ContextVar<String> = ContextVar::new("tenant");
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = [7; 32];
/// let carrier = Carrier::builder().with(Portable::new(&TENANT, "acme.tenant")).build()?;
/// let signer = Signer::new([("2026-11", secret)])?;
/// let mut headers = Vec::<(String, String)>::new();
/// TENANT.scope("globex".into(), || {
///     carrier.sending(Level::Internal).signer(&signer).inject(&mut headers)
/// })?;
///
/// let receiving = carrier.receiving(Level::Internal).signer(&signer);
/// assert_eq!(receiving.extract(&headers).get(&TENANT).map(String::as_str), Some("globex"));
/// let forged = receiving.extract(&[("baggage", "acme.tenant=initech")]);
/// assert_eq!(forged.get(&TENANT), None);
/// assert_eq!(forged.errors()[0].reason, Reason::Signature);
/// # Ok(())
/// # }
/// ```
pub struct Signer {
    keys: Vec<(String, Vec<u8>)>,
    max_age: Duration,
    leeway: Duration,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Signer {
    /// A signer with these secrets, by the names that are sent with the signatures. O(keys).
    ///
    /// The first secret signs; all of them verify. To rotate keys, first add the new key at the end
    /// everywhere, then move it to the front, and remove the old one when its signatures have expired.
    ///
    /// # Errors
    ///
    /// There are no keys, or two with the same name; a secret has fewer than 16 bytes; or a name is
    /// empty, too long, or has characters other than letters, digits, `.`, `_` and `-`.
    ///
    /// See [`Signer`] for an example.
    pub fn new<N, S>(keys: impl IntoIterator<Item = (N, S)>) -> Result<Self, KeyError>
    where
        N: Into<String>,
        S: Into<Vec<u8>>,
    {
        let keys: Vec<(String, Vec<u8>)> =
            keys.into_iter().map(|(name, secret)| (name.into(), secret.into())).collect();
        if keys.is_empty() {
            return Err(KeyError("a signer needs at least one key".to_owned()));
        }
        let is_legal = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
        for (index, (name, secret)) in keys.iter().enumerate() {
            if !(1..=MAX_KEY_NAME).contains(&name.len()) || !name.bytes().all(is_legal) {
                return Err(KeyError(format!("{name:?} cannot be the name of a key")));
            }
            if keys[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(KeyError(format!("there are two keys {name:?}")));
            }
            if secret.len() < MIN_KEY_BYTES {
                return Err(KeyError(format!(
                    "the secret of key {name:?} has fewer than {MIN_KEY_BYTES} bytes"
                )));
            }
        }
        Ok(Self {
            keys,
            max_age: Duration::from_secs(300),
            leeway: Duration::from_secs(30),
            clock: Box::new(SystemTime::now),
        })
    }

    /// How long a signature is valid; without it, five minutes. O(1).
    ///
    /// ```
    /// use ctxvars::carrier::Signer;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let signer = Signer::new([("key", [7; 32])])?
    ///     .max_age(Duration::from_secs(60))
    ///     .leeway(Duration::from_secs(5));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// How far the clock of the sender may be ahead; without it, 30 seconds. O(1).
    ///
    /// See [`max_age`](Self::max_age) for an example.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The clock to use, instead of [`SystemTime::now`]. O(1).
    ///
    /// ```
    /// use ctxvars::carrier::Signer;
    /// use std::time::UNIX_EPOCH;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let signer = Signer::new([("key", [7; 32])])?.clock(|| UNIX_EPOCH);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    fn now(&self) -> Duration {
        (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// The value of the signature. O(length + members x log members).
    pub(super) fn sign(&self, mut members: Vec<Signed>) -> String {
        members.sort();
        let (key, secret) = &self.keys[0];
        let issued = self.now().as_secs().to_string();
        let mac = mac(secret, key, &issued, members.iter()).finalize().into_bytes();
        let names: Vec<_> = members.iter().map(|member| member.name).collect();
        format!("{key}/{issued}/{}/{}", base64::encode(&mac), names.join(":"))
    }

    /// The names of the members that the signature covers; none if it is not valid. O(length), whatever
    /// the signature is.
    pub(super) fn verify(
        &self,
        signature: &str,
        members: impl Iterator<Item = Signed>,
    ) -> HashSet<&'static str> {
        let members: HashMap<_, _> = members.map(|member| (member.name, member)).collect();
        let covered = self.covered(signature, &members).unwrap_or_default();
        covered.into_iter().map(|member| member.name).collect()
    }

    /// The members that a signature covers, or `None` if it is not valid.
    fn covered<'a>(
        &self,
        signature: &str,
        members: &'a HashMap<&'static str, Signed>,
    ) -> Option<Vec<&'a Signed>> {
        let mut parts = signature.splitn(4, '/');
        let (key, issued, sent) = (parts.next()?, parts.next()?, parts.next()?);
        let listed = parts.next().filter(|listed| !listed.is_empty())?;
        let (_, secret) = self.keys.iter().find(|(name, _)| name == key)?;
        let is_time = issued.len() <= 12 && issued.bytes().all(|it| it.is_ascii_digit());
        let issued_at = Duration::from_secs(issued.parse().ok().filter(|_| is_time)?);
        let now = self.now();
        if now.saturating_sub(issued_at) > self.max_age
            || issued_at.saturating_sub(now) > self.leeway
        {
            return None;
        }
        let covered: Vec<_> =
            listed.split(':').map(|name| members.get(name)).collect::<Option<_>>()?;
        // `sign` lists each name once. The text of a repeated name would be hashed each time.
        if covered.iter().map(|member| member.name).collect::<HashSet<_>>().len() != covered.len() {
            return None;
        }
        // Several texts have these bytes, and only one of them is a signature.
        let octets = base64::decode(sent).filter(|octets| base64::encode(octets) == sent)?;
        let mac = mac(secret, key, issued, covered.iter().copied());
        // Compares in constant time.
        mac.verify_slice(&octets).ok()?;
        Some(covered)
    }
}

/// The MAC. Each part is preceded by its length, so no two inputs agree.
fn mac<'a>(
    secret: &[u8],
    key: &str,
    issued: &str,
    members: impl Iterator<Item = &'a Signed>,
) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes secrets of all lengths");
    let mut add = |part: &str| {
        mac.update(format!("{}:", part.len()).as_bytes());
        mac.update(part.as_bytes());
    };
    add(key);
    add(issued);
    for Signed { name, version, text } in members {
        add(name);
        add(&version.to_string());
        add(text);
    }
    mac
}

/// Without the secrets.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.keys.iter().map(|(name, _)| name).collect();
        f.debug_struct("Signer").field("keys", &names).finish_non_exhaustive()
    }
}

/// The error of [`Signer::new`]: a key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for KeyError {}
