//! Secrets in a text: keys, tokens and passwords that must not be stored.
//!
//! Formats are recognised by the beginnings that their issuers gave them, so that scanners find them; what has no
//! such beginning is recognised by what stands before it (`password = ...`, `Authorization: Bearer ...`) and by how
//! random it looks. Digests, ids and placeholders (`<TOKEN>`, `$KEY`, `xxxx`) are none. Neither invisible characters,
//! nor letters of full width, nor escapes (`\nghp_...`) hide a secret. It is a net and no proof: a secret in plain
//! words passes, and so does one in base64.
//!
//! What an explicit key or flag names may be short (`DB_PASSWORD=hunter2`). Lessons of agents are full of such keys
//! with values that are none: types, names, calls, paths, units, algorithms. These are known by their form and pass.
//!
//! A cheap look for the beginnings comes first, because nearly no text has any; patterns are compiled when one is
//! needed.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is, for people.
    pub kind: &'static str,
    /// Where it is, in bytes.
    pub range: Range<usize>,
}

/// What else a match must be, to be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Nothing: its beginning says enough.
    None,
    /// Random by its looks: the pattern alone says too little.
    Random,
    /// A value as [`is_password`] tells it.
    Password,
}

/// A format: what it is, the texts of which one is in every secret of it, and its pattern. The secret is the group `s`,
/// or all of the match; the group `judged`, if there is one, is what is looked at.
struct Format {
    kind: &'static str,
    hints: &'static [&'static str],
    pattern: LazyLock<Option<Regex>>,
    check: Check,
}

macro_rules! formats {
    ($($kind:literal [$($hint:literal),+] $($check:ident)? $pattern:literal;)+) => {
        vec![$(Format {
            kind: $kind,
            hints: &[$($hint),+],
            pattern: LazyLock::new(|| compiled($pattern)),
            check: formats!(@check $($check)?),
        }),+]
    };
    (@check) => { Check::None };
    (@check random) => { Check::Random };
    (@check password) => { Check::Password };
}

/// The pattern with edges of ASCII words: a letter outside ASCII before a token does not hide it, and edges of Unicode
/// are slow.
fn compiled(pattern: &str) -> Option<Regex> {
    Regex::new(&pattern.replace(r"\b", r"(?-u:\b)")).ok()
}

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    formats! {
        // Only with base64 below, perhaps after headers: texts speak of the first line.
        "private key" ["PRIVATE KEY"] random
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:[^A-Za-z0-9]|\d{1,4}[^A-Za-z0-9]){0,60}(?:(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset): ?[^\n]{0,120}?[^A-Za-z0-9]{1,40}){0,4}?(?P<judged>[A-Za-z0-9+/]{20,}={0,2})[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)";
        "key of AWS" ["AKIA", "ASIA", "ABIA", "ACCA"] r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b";
        "secret key of AWS" ["aws", "AWS"] random r#"(?i)aws.{0,30}?(?:secret|key).{0,20}?[=:\s"']+(?P<s>[A-Za-z0-9/+]{40})\b"#;
        "token of GitHub" ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"] r"\bgh[pousr]_[A-Za-z0-9]{30,255}";
        "token of GitHub" ["github_pat_"] r"\bgithub_pat_[A-Za-z0-9_]{36,255}";
        "token of GitLab" ["glpat-", "gldt-", "glrt-", "glptt-", "glsoat-"] r"\bgl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_\-.]{20,}";
        "token of Slack" ["xoxb-", "xoxp-", "xoxa-", "xoxc-", "xoxd-", "xoxr-", "xoxs-", "xoxe", "xapp-"] r"\bx(?:ox[abcdeprs](?:\.xox[bp])?|app)-[A-Za-z0-9-]{10,}";
        "webhook of Slack" ["hooks.slack.com"] r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,}";
        "key of Stripe" ["sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"] r"\b(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9+/=]{16,}";
        "key of Anthropic" ["sk-ant-"] r"\bsk-ant-[A-Za-z0-9_-]{20,}";
        "key of OpenAI" ["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-"] r"\bsk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}";
        "key of a model provider" ["sk-"] random r"\bsk-(?:or-v1-|live-|lf-)?[A-Za-z0-9]{32,}\b";
        "key of Google" ["AIza"] r"\bAIza[A-Za-z0-9_-]{35}";
        "token of Google" ["ya29."] r"\bya29\.[A-Za-z0-9_-]{20,}";
        "client secret of Google" ["GOCSPX-"] r"\bGOCSPX-[A-Za-z0-9_-]{20,}";
        "key of Azure storage" ["AccountKey="] r"AccountKey=(?P<s>[A-Za-z0-9+/]{80,}={0,2})";
        "signature of Azure" ["sig="] r"[?&;]sig=(?P<s>[A-Za-z0-9%+/]{40,}(?:=|%3[Dd])?)";
        "client secret of Azure" ["8Q~", "7Q~"] r"\b[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}";
        "token of npm" ["npm_"] r"\bnpm_[A-Za-z0-9]{36}\b";
        "token of PyPI" ["pypi-AgE"] r"\bpypi-AgE[A-Za-z0-9_-]{50,}";
        "token of crates" ["cio"] random r"\bcio[A-Za-z0-9]{32}\b";
        "token of Hugging Face" ["hf_", "api_org_"] r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}\b";
        "key of Twilio" ["SK"] random r"\bSK[0-9a-f]{32}\b";
        "key of SendGrid" ["SG."] r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}";
        "key of Mailgun" ["key-"] random r"\bkey-[0-9a-f]{32}\b";
        "token of Discord" ["."] random r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}";
        "webhook of Discord" ["api/webhooks/"] r"discord(?:app)?\.com/api/webhooks/\d+/[A-Za-z0-9_-]{40,}";
        "token of Telegram" [":AA"] r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}";
        "token of DigitalOcean" ["dop_v1_", "doo_v1_", "dor_v1_"] r"\bdo[opr]_v1_[0-9a-f]{64}\b";
        "token of Databricks" ["dapi"] r"\bdapi[0-9a-f]{32}(?:-\d)?\b";
        "token of Shopify" ["shpat_", "shpss_", "shpca_", "shppa_"] r"\bshp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}\b";
        "key of Linear" ["lin_api_", "lin_oauth_"] r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,}";
        "token of Notion" ["ntn_", "secret_"] random r"\b(?:ntn|secret)_[A-Za-z0-9]{40,}\b";
        "token of Vault" ["hvs.", "hvb.", "hvr."] r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}";
        "token of Doppler" ["dp.pt.", "dp.st.", "dp.ct."] r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{30,}";
        "key of age" ["AGE-SECRET-KEY-1"] r"\bAGE-SECRET-KEY-1[A-Z0-9]{50,}";
        "token of Grafana" ["glc_", "glsa_"] r"\bgl(?:c|sa)_[A-Za-z0-9_+/=]{30,}";
        "key of New Relic" ["NRAK-"] r"\bNRAK-[A-Z0-9]{27}";
        "token of Atlassian" ["ATATT3"] r"\bATATT3[A-Za-z0-9_=.-]{50,}";
        "token of Figma" ["figd_"] r"\bfigd_[A-Za-z0-9_-]{30,}";
        "token of Postman" ["PMAK-"] r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}";
        "token of Supabase" ["sbp_"] r"\bsbp_[0-9a-f]{40}\b";
        "token of Fly" ["fm2_", "FlyV1"] r"\b(?:fm2_|FlyV1 fm[12]_)[A-Za-z0-9+/=_-]{40,}";
        "key of Square" ["sq0atp-", "sq0csp-", "EAAA"] r"\b(?:sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}|EAAA[A-Za-z0-9_-]{60})";
        "key of Groq or xAI" ["gsk_", "xai-"] random r"\b(?:gsk_|xai-)[A-Za-z0-9]{40,}";
        "token of Docker Hub" ["dckr_pat_", "dckr_oat_"] r"\bdckr_[po]at_[A-Za-z0-9_-]{20,}";
        "token of Terraform" [".atlasv1."] r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,}";
        "key of Heroku" ["HRKU-"] r"\bHRKU-[A-Za-z0-9_-]{30,}";
        "token of Sentry" ["sntrys_", "sntryu_"] r"\bsntry[su]_[A-Za-z0-9_+/=-]{40,}";
        "token of Replicate" ["r8_"] r"\br8_[A-Za-z0-9]{30,}";
        "key of Perplexity" ["pplx-"] r"\bpplx-[A-Za-z0-9]{30,}";
        "token of PlanetScale" ["pscale_"] r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{30,}";
        "key of RubyGems" ["rubygems_"] r"\brubygems_[0-9a-f]{40,}";
        "token of Buildkite" ["bkua_", "bkaj_"] r"\bbk(?:ua|aj)_[0-9a-z]{30,}";
        "password of curl" ["curl"] random r#"\bcurl\b[^\n]{0,120}?\s-u\s*["']?[^\s:"']{1,60}:(?P<s>[^\s"']{6,100})"#;
        "JSON web token" ["eyJ"] r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}";
        "token of muster" ["mst_", "mss_", "msl_", "lse_"] r"\b(?:mst|mss|msl|lse)_[A-Za-z0-9-]{6,}_[A-Za-z0-9_-]{20,}";
        "password in a URL" ["://"] r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@'<>]{1,100}:(?P<s>[^\s/@'<>]{3,200})@[^\s/]+";
        "token of an Authorization header" ["earer ", "asic ", "EARER "] random r#"(?i)\bauthorization["']?\s*[:=]\s*["']?(?:bearer|basic|token)\s+(?P<s>[A-Za-z0-9._~+/=-]{12,})"#;
        "bearer token" ["earer "] random r"\b[Bb]earer\s+(?P<s>[A-Za-z0-9._~+/=-]{20,})";
        "password or key"
            ["assw", "ASSW", "assphrase", "ASSPHRASE", "ecret", "ECRET", "oken", "OKEN", "pi_key", "pi-key",
             "pi-Key", "pi key", "PI key", "PI Key", "piKey", "PASS", "_pass", "-pass", "PI_KEY", "PIKEY",
             "pikey", "rivate_key", "rivate-key", "rivateKey", "RIVATE_KEY", "ccess_key", "ccess-key",
             "ccessKey", "ACCESS_KEY", "redential", "REDENTIAL", "pwd", "PWD"] password
            r#"(?i)\b(?P<key>[a-z0-9_.-]{0,40}(?:password|passwd|passphrase|pwd|[_-]pass|secret|token|api[_ -]?key|access[_-]?key|private[_-]?key|credential)s?)[*_]{0,2}\\?["'`]?[*_]{0,2}\s{0,3}(?P<sign>=>|:=|=|:)[*_]{0,2}\s{0,3}(?:[bruf@]{0,2}\\?["'`])?(?P<s>[^\s"'`,;]{6,200})"#;
        "password or key"
            ["assw", "ASSW", "assphrase", "ASSPHRASE", "ecret", "ECRET", "oken", "OKEN", "pi_key", "pi-key",
             "pi-Key", "pi key", "PI key", "PI Key", "piKey", "PASS", "_pass", "-pass", "PI_KEY", "PIKEY",
             "pikey", "rivate_key", "rivate-key", "rivateKey", "RIVATE_KEY", "ccess_key", "ccess-key",
             "ccessKey", "ACCESS_KEY", "redential", "REDENTIAL", "pwd", "PWD"] password
            r#"(?i)(?:^|[\s"'`(\[=])--?(?P<key>(?:[a-z0-9]{1,20}-){0,3}(?:pass|(?:password|passwd|passphrase|pwd|secret|token|api-?key|access-?key|private-?key|credential)s?))["']?,?\s{1,3}["']?(?P<s>[^\s"'`,;]{6,200})"#;
    }
});

/// Every secret of a text, in order, without overlaps.
#[must_use]
pub fn find(text: &str) -> Vec<Found> {
    // What hides a secret is undone; places are those of the text that was given.
    let (plain, places) = unhidden(text);
    let mut found: Vec<Found> = Vec::new();
    for format in FORMATS.iter() {
        if !format.hints.iter().any(|hint| plain.contains(hint)) {
            continue;
        }
        let Some(pattern) = format.pattern.as_ref() else { continue };
        for captures in pattern.captures_iter(&plain) {
            let whole = captures.get(0).map_or("", |found| found.as_str());
            if ["page_token", "csrf", "next_token", "PageToken"]
                .iter()
                .any(|word| whole.contains(word))
            {
                continue;
            }
            let Some(secret) = captures.name("s").or_else(|| captures.get(0)) else { continue };
            let judged = captures.name("judged").unwrap_or(secret).as_str();
            let passes = match format.check {
                Check::None => true,
                Check::Random => looks_random(judged),
                Check::Password => {
                    let start = captures.get(0).map_or(0, |found| found.start());
                    let part = |name| captures.name(name).map(|found| found.as_str());
                    let quoted = plain[..secret.start()].ends_with(['"', '\'', '`']);
                    let (key, sign) = (part("key").unwrap_or_default(), part("sign"));
                    is_password(&Named { before: &plain[..start], key, sign, quoted }, judged)
                }
            };
            if !passes || is_placeholder(judged) {
                continue;
            }
            let range = places.of(secret.start())..places.of(secret.end());
            found.push(Found { kind: format.kind, range });
        }
    }
    found.sort_by_key(|one| (one.range.start, std::cmp::Reverse(one.range.end)));
    let mut last = 0;
    found.retain(|one| {
        let new = one.range.start >= last;
        if new {
            last = one.range.end;
        }
        new
    });
    found
}

/// The text with `[redacted: kind]` in place of each secret, and what was there.
#[must_use]
pub fn redact(text: &str) -> (String, Vec<&'static str>) {
    let found = find(text);
    let mut redacted = String::with_capacity(text.len());
    let mut from = 0;
    for one in &found {
        redacted.push_str(&text[from..one.range.start]);
        redacted.push_str("[redacted: ");
        redacted.push_str(one.kind);
        redacted.push(']');
        from = one.range.end;
    }
    redacted.push_str(&text[from..]);
    (redacted, found.into_iter().map(|one| one.kind).collect())
}

/// Places of an unhidden text in the text that was given.
struct Places(Vec<(usize, usize)>);

impl Places {
    /// The place of a byte.
    fn of(&self, at: usize) -> usize {
        let run = self.0.partition_point(|(plain, _)| *plain <= at).saturating_sub(1);
        self.0.get(run).map_or(at, |(plain, given)| given + (at - plain))
    }
}

/// The text without invisible characters, with ASCII for its forms of full width, and blanks for escapes of blanks: the
/// letter of `\n` would belong to the word that follows.
fn unhidden(text: &str) -> (String, Places) {
    let mut plain = String::with_capacity(text.len());
    let mut places = vec![(0, 0)];
    let mut moved = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((_, c)) = letters.next() {
        match u32::from(c) {
            _ if is_invisible(c) => {}
            wide @ 0xFF01..=0xFF5E => plain.extend(char::from_u32(wide - 0xFEE0)),
            _ if c == '\\'
                && letters.next_if(|(_, next)| matches!(next, 'n' | 'r' | 't')).is_some() =>
            {
                plain.push_str("  ");
            }
            _ => plain.push(c),
        }
        let next = letters.peek().map_or(text.len(), |(next, _)| *next);
        if next - plain.len() != moved {
            moved = next - plain.len();
            places.push((plain.len(), next));
        }
    }
    (plain, Places(places))
}

/// Characters that are not seen, and can part a word unseen.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
        | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xE0000..=0xE0FFF)
}

/// Whether a value stands for a secret: `<TOKEN>`, `$TOKEN`, `{{ token }}`, `xxxx`, `example`.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_lowercase();
    let bracketed = value.starts_with(['<', '$', '{', '[', '%', '(', '&']);
    // Code and not a value: a call, a path of names, a type.
    let code = value.contains(['(', '<']) || value.contains("::");
    let ordinary = ["password", "passwd", "pass", "secret", "token", "user", "admin", "postgres"];
    let words = [
        "example",
        "placeholder",
        "changeme",
        "change_me",
        "redacted",
        "your-",
        "your_",
        "xxxx",
        "****",
        "....",
        "dummy",
        "sample",
        "process.env",
        "os.environ",
        "env.",
        "env(",
        "getenv",
        "secrets.",
        "vault:",
        "none",
        "null",
    ];
    bracketed
        || code
        || is_uuid(value)
        || ordinary.contains(&lower.as_str())
        || words.iter().any(|word| lower.contains(word))
        || has_few_characters(value)
}

/// What stands before a value.
struct Named<'a> {
    before: &'a str,
    key: &'a str,
    /// What is between key and value; nothing after a flag.
    sign: Option<&'a str>,
    quoted: bool,
}

/// Whether the value of a key is a password or a key, and no type, name, path, number or other word of code.
fn is_password(named: &Named<'_>, value: &str) -> bool {
    if value.contains("...") || value.contains('…') {
        return false;
    }
    // The next parameter of a URL; brackets and full stops of the text around it.
    let value =
        value.split_once('&').filter(|(_, next)| next.contains('=')).map_or(value, |(one, _)| one);
    let value = if named.quoted { value } else { without_closing(value) };
    let value = value.trim_end_matches(|c: char| ")]}>.,;:!?*_~|\\".contains(c));
    let key = named.key.to_lowercase();
    let password =
        ["passw", "passphrase", "pwd", "_pass", "-pass"].iter().any(|word| key.contains(word))
            || key == "pass";
    let set = named.sign == Some("=") && !named.key.contains(|c: char| c.is_ascii_lowercase());
    let explicit = password || set || named.sign.is_none();
    if value.len() < if explicit { 6 } else { 8 } || is_of_code(named, value) {
        return false;
    }
    let technical = TECHNICAL.as_ref().map_or(value.into(), |words| words.replace_all(value, ""));
    let (letter, digit) = (
        technical.contains(|c: char| c.is_ascii_alphabetic()),
        technical.contains(|c: char| c.is_ascii_digit()),
    );
    let sign = technical.contains(['!', '$', '@', '#', '^', '%']);
    letter && (digit || (explicit && sign)) && (explicit || looks_random(value))
}

/// The value without what code has after it: `600}})).await`.
fn without_closing(value: &str) -> &str {
    let closing = [')', '}', ']'];
    let Some((one, _)) = value.split_once(closing) else { return value };
    let after = value[one.len()..].trim_start_matches(closing);
    if after.is_empty() || after.starts_with(['.', ';', '?', ':']) { one } else { value }
}

/// Names of algorithms, formats and types that have digits.
static TECHNICAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compiled(
        r"(?i)argon2(?:id|i|d)?|bcrypt\d?|pbkdf2|blake[23][bs]?|sha-?\d{1,3}|md[45]|(?:hs|rs|es|ps)(?:256|384|512)|x?ed25519|x25519|secp\d{3}[kr]1|rsa-?\d{4}|aes-?(?:128|192|256)|base-?(?:16|32|58|62|64)|utf-?(?:8|16|32)|oauth-?[12]|uuid-?v?[1-8]|x-?509|pkcs-?\d{1,2}|http-?[123]\b|ipv[46]|k8s|i18n|\b2fa|\bv\d{1,2}\b|^(?:u?int|float|bytes?|varchar|char|str|string|text|bit)\d{1,4}$",
    )
});

/// Values that are known by their form.
static OF_CODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compiled(concat!(
        r"(?i)^(?:",
        // A number with a unit, a date, a version, a number in hexadecimal.
        r"[~<>=≤≥≈±]{0,2}\d+(?:[.,_-]\d+)*[-_+/]?(?:[nuµm]?s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?|years?|b|bits?|bytes?|[kmgt]i?b?|tokens?|chars?|characters?|letters?|digits?|words?|hex|rp[ms]|requests?|req|calls?|x|px|times|%)(?:[-/+._].*)?",
        r"|\d{4}-\d\d-\d\d.*|v?\d+(?:\.\d+)+[a-z0-9.+-]*|0x[0-9a-f]{1,8}",
        // A digest, a name in a cloud, an address of mail, a path of Windows, a tag or an anchor of YAML.
        r"|sha\d{1,3}:.*|arn:.*|[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}|[a-z]{3,}@[a-z-]+|[a-z]:[\\/].*|![a-z/.:-]+|\*[a-z]\w*",
        // An index, a member, a pair.
        r"|[a-z_][\w.]*\[.*|.*->.*|[a-z_]{2,}={1,2}[^=].*",
        // A name that ends in what it is of: `password2`, `new_token1`.
        r"|(?:[a-z_]+[_.])?(?:password|passwd|pass|pwd|secret|token|key|credential|cred|user|name|value|val|field|arg|param|var|foo|bar|baz|item|line|step)s?_?\d",
        // The same in camel case.
        r"|(?-i:[a-z]+(?:[A-Z][a-z]+)*(?:Password|Passwd|Pass|Pwd|Secret|Token|Key|Credential)s?\d)",
        r")$",
    ))
});

/// Whether a value is a word of code: a reference, a path, a number with a unit, words with signs between them.
fn is_of_code(named: &Named<'_>, value: &str) -> bool {
    const OF_PARSERS: [&str; 16] = [
        "unexpected",
        "expected",
        "invalid",
        "unknown",
        "next",
        "current",
        "found",
        "got",
        "illegal",
        "bad",
        "stop",
        "special",
        "pad",
        "mask",
        "last",
        "first",
    ];
    const OF_BINDINGS: [&str; 9] =
        ["let", "const", "var", "val", "final", "mut", "auto", "static", "return"];
    let last = named.before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
    let last = last.trim_matches(|c: char| !c.is_ascii_alphabetic());
    let bound = !named.quoted && (named.sign == Some(":=") || OF_BINDINGS.contains(&last));
    bound
        || (named.key.eq_ignore_ascii_case("token") && OF_PARSERS.contains(&last))
        || value.starts_with(['=', '>', '-', '|', ':'])
        || ["://", "${", "{{", "#{"].iter().any(|sign| value.contains(sign))
        || OF_CODE.as_ref().is_some_and(|forms| forms.is_match(value))
        || is_path(value)
        || is_words(value)
}

/// Whether a value is a path or a path of names: `/run/secrets/db1`, `src/auth2.rs`, `config.password2`, `A_KEY_2`.
fn is_path(value: &str) -> bool {
    let value = value.trim_start_matches(['@', '~', '.']);
    let variable = value.contains('_')
        && value.starts_with(|c: char| c.is_ascii_uppercase())
        && value.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let parts: Vec<&str> = value.split(['/', '.', ':', '-', '_']).collect();
    let names = parts.len() >= 2 && parts.iter().all(|part| part.is_empty() || is_name(part));
    let path = value.contains('/') || variable || (value.contains('.') && is_head(parts[0]));
    names && path
}

/// Whether a part may be the first of words: a password may stand before a full stop.
fn is_head(part: &str) -> bool {
    let mixed = |of: fn(&u8) -> bool| part.bytes().any(|c| of(&c));
    !(mixed(u8::is_ascii_digit) && mixed(u8::is_ascii_alphabetic)) || is_technical(part)
}

fn is_technical(part: &str) -> bool {
    TECHNICAL.as_ref().is_some_and(|words| words.replace_all(part, "").is_empty())
}

/// Whether a part is letters with at most three digits after them, or few digits.
fn is_name(part: &str) -> bool {
    let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = part.len() - letters.len();
    let most = if letters.is_empty() { 4 } else { 3 };
    let plain = digits <= most && letters.chars().all(|c| c.is_ascii_alphabetic());
    plain || is_technical(part)
}

/// Whether a value is small words with signs between them: `base64-encoded`, `required|min:8`, `db-credentials-2`.
fn is_words(value: &str) -> bool {
    let parts: Vec<&str> = value
        .split(['-', '_', '.', '/', ':', '|', '=', '+', ',', '~', '?'])
        .filter(|part| !part.is_empty())
        .collect();
    let word = |part: &&str| part.len() >= 3 && part.chars().all(|c| c.is_ascii_lowercase());
    parts.len() >= 2
        && parts.first().is_some_and(|part| is_head(part))
        && parts.iter().any(word)
        && !value.contains(|c: char| c.is_ascii_uppercase())
        && parts.iter().all(|part| is_name(part))
}

fn is_uuid(value: &str) -> bool {
    let lengths: Vec<usize> = value.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && value.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

fn has_few_characters(value: &str) -> bool {
    let mut seen: Vec<char> = value.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() <= 3
}

/// Whether a value looks random: digits among letters, or letters of both cases, and many different ones.
fn looks_random(value: &str) -> bool {
    let has = |of: fn(&char) -> bool| value.chars().any(|c| of(&c));
    let (digits, small, large) =
        (has(char::is_ascii_digit), has(char::is_ascii_lowercase), has(char::is_ascii_uppercase));
    let signs = has(|c| {
        c.is_ascii_punctuation()
            && !matches!(c, '_' | '-' | '.' | '/' | ':' | '(' | ')' | '[' | ']')
    });
    let kinds = [digits, small, large, signs].into_iter().filter(|kind| *kind).count();
    kinds >= 2 && digits | signs && entropy(value) >= 2.6
}

/// Bits of information per character (C. E. Shannon, 1948).
fn entropy(value: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    for c in value.chars() {
        *counts.entry(c).or_insert(0_u32) += 1;
    }
    let all = f64::from(counts.values().sum::<u32>());
    counts.values().map(|count| f64::from(*count) / all).map(|part| -part * part.log2()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Letters and digits that look random, made here so that no scanner takes this file for a leak.
    fn noise(length: usize) -> String {
        let alphabet = b"aB3dE6gH9jK2mN5pQ8sT1vW4yZ7";
        (0..length).map(|at| char::from(alphabet[(at * 7 + at / 5) % alphabet.len()])).collect()
    }

    fn hex(length: usize) -> String {
        (0..length).map(|at| char::from(b"0f1e2d3c4b5a6978"[(at * 7 + at * at / 3) % 16])).collect()
    }

    fn upper(length: usize) -> String {
        (0..length).map(|at| char::from(b"AZ3BY4CX5DW6EV7FU2"[(at * 5) % 18])).collect()
    }

    fn letters(length: usize) -> String {
        (0..length).map(|at| char::from(b"aBcDeFgHiJkLmNoPqRsTuV"[(at * 7) % 22])).collect()
    }

    fn fixtures() -> Vec<String> {
        let join = |parts: &[&str]| parts.concat();
        vec![
            join(&["AK", "IA", &upper(16)]),
            join(&["aws_secret_access_key = ", &noise(40)]),
            join(&["gh", "p_", &noise(36)]),
            join(&["github", "_pat_", &noise(50)]),
            join(&["gl", "pat-", &noise(20)]),
            join(&["xo", "xb-", "123456789012-", &noise(24)]),
            join(&["https://hooks.slack", ".com/services/", "T00000000/B11111111/", &noise(24)]),
            join(&["sk", "_live_", &noise(24)]),
            join(&["sk", "-ant-", "api03-", &noise(80)]),
            join(&["sk", "-proj-", &noise(48)]),
            join(&["sk", "-", &noise(48)]),
            join(&["AI", "za", &noise(35)]),
            join(&["ya", "29.", &noise(60)]),
            join(&["Account", "Key=", &noise(86), "=="]),
            join(&["https://a.blob.core.windows.net/c?sv=1&si", "g=", &noise(43), "%3D"]),
            join(&["np", "m_", &noise(36)]),
            join(&["pypi", "-AgE", &noise(60)]),
            join(&["h", "f_", &letters(34)]),
            join(&["S", "G.", &noise(22), ".", &noise(43)]),
            join(&["key", "-", &hex(32)]),
            join(&["https://discord.com/api/", "webhooks/", "123456789012345678/", &noise(60)]),
            join(&["123456789", ":AA", &noise(33)]),
            join(&["dop", "_v1_", &hex(64)]),
            join(&["dap", "i", &hex(32)]),
            join(&["shp", "at_", &hex(32)]),
            join(&["lin", "_api_", &noise(40)]),
            join(&["nt", "n_", &noise(46)]),
            join(&["hv", "s.", &noise(24)]),
            join(&["dp.", "pt.", &noise(43)]),
            join(&["AGE-SECRET", "-KEY-1", &upper(58)]),
            join(&["ey", "J", &noise(20), ".ey", "J", &noise(40), ".", &noise(43)]),
            join(&[
                "-----BEGIN RSA PRIV",
                "ATE KEY-----\nMIIE",
                &noise(64),
                "\n-----END RSA PRIV",
                "ATE KEY-----",
            ]),
            join(&["postgres://app:", &noise(16), "@db.internal/main"]),
            join(&["Authorization: Bea", "rer ", &noise(40)]),
            join(&["password = \"", &noise(14), "\""]),
            join(&["api_key: ", &noise(32)]),
            join(&["MY_SERVICE_TOKEN=", &noise(30)]),
            join(&["mst", "_abcdefgh_", &noise(43)]),
            join(&["X-Api-Key: ", &noise(32)]),
            join(&["The API key: ", &noise(32)]),
            join(&["DB_PASS=", &noise(16)]),
            join(&["curl -u admin:", &noise(14), " https://a.example"]),
            join(&["dckr", "_pat_", &noise(27)]),
            join(&["xo", "xc-", "123456789012-", &noise(24)]),
            join(&["https://a.example/?to", "ken=", &noise(12), "&page=2"]),
        ]
    }

    #[test]
    fn every_format_is_found_and_nothing_of_it_is_left() {
        let fixtures = fixtures();
        assert!(fixtures.len() >= 30);
        for secret in fixtures {
            let text = format!("To call it, use this:\n{secret}\nand go on.");
            let (redacted, kinds) = redact(&text);
            assert!(!kinds.is_empty(), "{secret}");
            assert!(redacted.contains("[redacted: ") && redacted.ends_with("go on."), "{redacted}");
            let longest =
                secret.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|part| part.len());
            assert!(!redacted.contains(longest.unwrap_or_default()), "{redacted}");
            assert!(find(&redacted).is_empty(), "{redacted}");
        }
    }

    #[test]
    fn invisible_characters_hide_nothing() {
        let secret = ["gh", "p_", &noise(36)].concat();
        let hidden: String = secret.chars().flat_map(|c| [c, '\u{200b}']).collect();
        let (redacted, kinds) = redact(&format!("a {hidden} b"));
        assert_eq!(kinds, ["token of GitHub"]);
        assert!(redacted.starts_with("a [redacted: ") && redacted.ends_with(" b"), "{redacted}");
    }

    #[test]
    fn a_short_password_after_its_key_is_found() {
        for (before, secret, after) in [
            ("DB_PASSWORD=", ["hunt", "er2"], ""),
            ("DB_PASSWORD=", ["hunt", "er2"], ".See the wiki"),
            ("export SMTP_PASS='", ["hunt", "er2"], "'"),
            ("run --password ", ["hunt", "er2x"], " now"),
            ("run --db-password=", ["hunt", "er2x"], ""),
            ("password: ", ["Tr0u", "b4dor"], ", then"),
            ("PGPASSWORD=", ["abc", "123"], " psql -h db1"),
            ("The password: `", ["abc", "123"], "`"),
            ("{\"db_password\": \"", ["s3c", "r3t"], "\"}"),
            ("{\\\"password\\\":\\\"", ["hunt", "er2"], "\"}"),
            ("**Password:** ", ["hunt", "er2"], ""),
            ("[\"--token\", \"", ["ab", "c1234"], "\"]"),
            ("connect(password='", ["pa$$", "word"], "')"),
            ("connect(password=", ["hunt", "er2"], ").await"),
            ("passwd => \"", ["correct!", "horse"], "\""),
            ("password: ", ["Adm", "in@123"], "."),
            ("password: ", ["!Pas", "sw0rd"], ""),
            ("API_TOKEN=", ["ab1", "2cd"], "\\nX=1"),
            ("password = b\"", ["hunt", "er2"], "\""),
        ] {
            let secret = secret.concat();
            let (redacted, kinds) = redact(&format!("Log in:\n{before}{secret}{after}"));
            assert_eq!(kinds, ["password or key"], "{before}");
            assert!(!redacted.contains(&secret) && redacted.contains(before), "{redacted}");
        }
    }

    #[test]
    fn a_private_key_is_found_without_its_end() {
        let begin = ["-----BEGIN RSA PRIV", "ATE KEY-----"].concat();
        let line = ["MIIE", &noise(60)].concat();
        let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0f1e";
        for text in [
            format!("{begin}\n{line}"),
            format!("{begin}\\n{line}\\n{line}"),
            format!("{begin}\n{headers}\n\n{line}\n"),
            format!("\"{begin}\\n\" +\n  \"{line}\\n\""),
            format!("  1\t{begin}\n  2\t{line}"),
        ] {
            let (redacted, kinds) = redact(&text);
            assert_eq!(kinds, ["private key"], "{text}");
            assert!(!redacted.contains(&line), "{redacted}");
        }
    }

    #[test]
    fn escapes_and_full_width_hide_nothing() {
        let secret = ["gh", "p_", &noise(36)].concat();
        for escape in ["\\n", "\\r", "\\t", "\\r\\n", "\\\\n", "é", "令"] {
            let (redacted, kinds) = redact(&format!("a{escape}{secret}{escape} b"));
            assert_eq!(kinds, ["token of GitHub"], "{escape}");
            assert_eq!(redacted, format!("a{escape}[redacted: token of GitHub]{escape} b"));
        }
        let wide = |text: &str| -> String {
            text.chars().filter_map(|c| char::from_u32(u32::from(c) + 0xFEE0)).collect()
        };
        let (redacted, kinds) = redact(&format!("é {} b", wide(&secret)));
        assert_eq!(kinds, ["token of GitHub"]);
        assert_eq!(redacted, "é [redacted: token of GitHub] b");
        let (redacted, kinds) = redact(&["x ", &wide("password=hun"), &wide("ter2")].concat());
        assert_eq!(kinds, ["password or key"]);
        assert_eq!(redacted, format!("x {}[redacted: password or key]", wide("password=")));
    }

    #[test]
    fn what_only_resembles_a_secret_is_kept() {
        for text in [
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "commit 4f2a91cbb9d1e0a7c6a0f3d9b8e7c6d5a4b3c2d1",
            "attempt 01890a5d-ac96-774b-bcce-b302099a8057",
            "Set password: <PASSWORD> in the file",
            "export API_KEY=$MY_KEY",
            "token: ${{ secrets.NPM_TOKEN }}",
            "Authorization: Bearer <token>",
            "the sk- prefix of a key says who made it",
            "api_key = os.environ['API_KEY']",
            "password: changeme123",
            "the function tokenize_words takes 4 arguments",
            "max_tokens: 2000000000",
            "Secret: keep the interface small",
            "postgres://user:password@localhost is the example",
            "token = next_token(stream)",
            "key-value stores are fast",
            "A password is hashed with argon2id",
            "let token = generate_token(&mut rng);",
            "secret: Option<SecretString>",
            "let secret = &self.state.config.Secrets2",
            "csrf_token: 01890a5d-ac96-774b-bcce-b302099a8057",
            "next_page_token: CAUQAA12345678",
            "token: 01890a5d-ac96-774b-bcce-b302099a8057",
            "A PEM file begins with -----BEGIN RSA PRIVATE KEY----- and has base64 below.",
            "From `-----BEGIN PRIVATE KEY-----` to `-----END PRIVATE KEY-----`, see /etc/ssl/private/app.pem",
            "password: at least 8 characters",
            "token=None",
            "token_count=1234",
            "max_tokens: 4096",
            "secret: string",
            "api_key: str",
            "password_hash: bcrypt2",
            "password: argon2id",
            "password: base64-encoded",
            "password: min 8 chars",
            "password: 12+chars",
            "password: 8-72-characters",
            "'password' => 'required|min:8|confirmed',",
            "password: String!",
            "password?: string | undefined",
            "{password: string}",
            "secret: UTF8String",
            "secret: bytes32",
            "token: OAuth2Token",
            "token: HS256/RS256",
            "token: 3600s",
            "token: 4096/request",
            "tokens: 128000",
            "token: 2024-06-01T10:00:00Z",
            "DB_PASSWORD=$PGPASS1",
            "DB_PASSWORD=${DB_PASS1:-none}",
            "DB_PASSWORD=PROD_DB_PASSWORD_2",
            "DB_PASSWORD_FILE=/run/secrets/db1",
            "password: /run/secrets/db1",
            "--password-file ./secrets/pw1.txt",
            "--password $PW1",
            "--password --user2",
            "--password is read from stdin",
            "--token <token1>",
            "--max-tokens 4096tokens",
            "--secret id=npmrc1,src=.npmrc",
            "--secret my-secret-1",
            "password = config.password2",
            "password = self.cleaned_data[\"password1\"]",
            "password=password2",
            "password: newPassword2",
            "const token = parser2",
            "let password = input1;",
            "token := next2token",
            "token = tokens[i+1]",
            "token = cfg->token1",
            "password == confirm2",
            "token==token2",
            "Secrets::Chacha20Poly1305 { key, iv }",
            "password: !secret db1",
            "password: !vault |",
            "secret: db-credentials-2",
            "secretName: app-tls-2024",
            "secret: arn:aws:secretsmanager:us-east-1:123456789012:secret:db1",
            "token: parser.rs:123",
            "unexpected token: TS2304ab",
            "Unexpected token: 'U+0022abc'",
            "api_key = settings.API_KEY2",
            "api_key=process.env.KEY2",
            "apiKey: import.meta.env.VITE_KEY1",
            "PWD=/home/user1/project2",
            "OLDPWD=/srv/app2",
            "token_url: https://auth1.example.com/v2/token",
            "token: https://auth1.example.com/v2/token",
            "credentials: me@host2.example.com",
            "client_secret_basic or private_key_jwt",
            "private_key: id_ed25519",
            "access_key: \"v2\"",
            "passwords: sha256-hashed",
            "token: uuid-v4",
            "Password: required!",
            "password: optional*",
            "password=***",
            "password: hunter",
            "tasks(json!({\"output_tokens\": 600}})).await",
            "token: sk-abc123...",
            "The password was changed in v2.1 of the schema",
            "| password | varchar255 | not null |",
            "password: varchar255",
            "password: Optional[str]",
            "password: Annotated[str,8]",
            "secret = b\"\"",
            "PGPASSWORD= psql -h db1",
            "password=min_length=8",
        ] {
            let found: Vec<_> = find(text).into_iter().map(|one| one.kind).collect();
            assert!(found.is_empty(), "{text}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_redacted_without_a_panic(text in "\\PC{0,300}") {
            let (redacted, kinds) = redact(&text);
            prop_assert_eq!(kinds.is_empty(), redacted == text);
        }

        #[test]
        fn a_secret_is_found_wherever_it_stands(
            before in "[ a-z\n\u{200b}é]{0,40}", after in "[ .,\n]{1}[ a-zé]{0,40}", at in 0_usize..45,
        ) {
            let all = fixtures();
            let secret = &all[at % all.len()];
            let text = format!("{before} {secret}{after}");
            prop_assert!(!find(&text).is_empty(), "{}", text);
        }
    }
}
