//! The word lists by which `secrets.rs` decides whether a form asks for a secret.
//!
//! Words are separated by spaces. Each new word comes with a test line that needs it.

/// Words that name a secret by themselves.
pub(super) const ALONE: &str = "\
    password passwd pwd passphrase passcode secret credential creds apikey privatekey secretkey \
    accesskey accesstoken authtoken jwt cvv cvv2 cvc cvc2 ssn otp totp";
/// Words that name a secret after one of the listed words.
pub(super) const AFTER: &[(&str, &str)] = &[
    (
        "key",
        "api private secret access ssh signing encryption decryption master deploy auth hmac rsa \
         pgp gpg recovery license",
    ),
    (
        "token",
        "api access auth authentication authorization bearer refresh session oauth oauth2 \
         security secret personal github gitlab bot login jwt your",
    ),
    ("number", "card security pin"),
    ("card", "credit debit"),
    (
        "code",
        "pin security verification recovery 2fa mfa auth authentication authorization time otp \
         sms",
    ),
    ("phrase", "seed recovery pass"),
    ("word", "pass"),
    ("pass", "db user admin root smtp ftp database"),
    ("cookie", "session auth login"),
    ("pin", "card sim your bank security account debit"),
];
/// Words after a secret that show a question about the secret, not for it.
pub(super) const ABOUT: &str = "\
    count counts limit limits budget usage used name names id ids type types kind policy policies \
    length expiry expires expiration ttl age lifetime rotation reset refresh manager store \
    storage provider vault bucket location path scheme strategy owner scope scopes field version \
    rate price cost size window per hint format review release file variable env endpoint url \
    algorithm strength brand rules requirements service page prompt form holder santa audit leak \
    handling management validation check reference ref";
/// Words before "of the secret" that show a question about it. `number` only before a plural.
pub(super) const OF: &str = "\
    name names count length type kind age cost price location path owner expiry lifetime format \
    scope purpose version rotation budget amount id holder limit number reason page strength";
/// Words that have another meaning after one of the listed words.
pub(super) const OTHER: &[(&str, &str)] = &[
    (
        "token",
        "max min total input output prompt completion context cached per page next pagination \
         continuation stop design eos bos syntax unexpected lexer",
    ),
    ("pin", "gpio led data clock input output map drop chip header connector a to and or reset"),
    ("otp", "erlang"),
    ("secret", "open trade"),
];
/// Words before a secret in a sentence that asks about it, or asks not to enter it.
pub(super) const NOT_ASKED: &str = "\
    how why where when whether should who not never no without avoid dont don't instead";
/// Words that make prose a request.
pub(super) const ASKING: &str = "\
    enter give paste provide supply send share insert input need needs your tell specify copy \
    submit fill put what what's";
/// A secret among so many first words of prose is its subject.
pub(super) const BEGINNING: usize = 4;
/// The most words between "of" and the secret.
pub(super) const BETWEEN: usize = 3;

/// Whether a list has a word.
pub(super) fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}
