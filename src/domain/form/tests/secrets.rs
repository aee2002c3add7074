//! Words that name a secret, and words that do not.

use proptest::prelude::*;
use serde_json::json;

use super::{read, refused, with};
use crate::domain::form::asked_secret;

const SECRET_NAMES: &[&str] = &[
    "password",
    "new_password",
    "dbPassword",
    "Password1",
    "PASSWORD",
    "user-passwords",
    "passwd",
    "api_key",
    "apiKey",
    "APIKey",
    "API-Key",
    "DBPassword",
    "SSHKey",
    "OTPs",
    "stripe_api_keys",
    "apikey",
    "token",
    "github_token",
    "accessToken",
    "access_tokens",
    "secret",
    "client_secret",
    "credentials",
    "awsCredential",
    "private_key",
    "ssh-key",
    "cardNumber",
    "credit_card",
    "cvv",
    "CVV2",
    "pin",
    "card_pin",
    "PIN code",
    "otp",
    "otpCode",
    "ssn",
    "SSN",
    "social_security_number",
    "one-time code",
    "seed phrase",
    "secret_value",
    "password_confirmation",
    "Your API key for production",
    "API keys",
    "What is the passphrase?",
];

const HARMLESS_NAMES: &[&str] = &[
    "token_count",
    "max_tokens",
    "tokens",
    "inputTokens",
    "max_token",
    "token_budget",
    "tokens_per_minute",
    "cost_per_token",
    "pinned",
    "pin_version",
    "gpio_pin",
    "spinning",
    "opinion",
    "author",
    "authority",
    "authentication_method",
    "secretary",
    "secret_name",
    "api_key_name",
    "keyId",
    "access_key_id",
    "key",
    "primary_key",
    "cache_key",
    "ssh_public_key",
    "issue-key",
    "keyboard",
    "monkey",
    "password_policy",
    "password_length",
    "password_reset_subject",
    "passage",
    "compass",
    "pass_rate",
    "card",
    "card_title",
    "cardinality",
    "robot_parts",
    "laptop",
    "version_number",
    "phone_number",
    "otp_release",
    "code",
    "zip_code",
    "country_code",
    "session",
    "next_page_token",
    "design_tokens",
    "Name of the secret",
    "Number of tokens",
    "Where is the API key kept?",
    "How should a password be reset?",
    "Pin the dependency?",
];

const ASKING: &[&str] = &[
    "API key of the staging account",
    "The password for the database.",
    "Needed for the deployment. Please enter your GitHub token here.",
    "We need the private key to sign the release",
    "Type the PIN on the back of the card",
    "Paste credentials as JSON",
];

const NOT_ASKING: &[&str] = &[
    "Where do you keep the API key? Name the variable, do not paste the key itself.",
    "Never enter passwords here.",
    "Do not include any credentials in the report.",
    "Shown on the page where users reset their passwords.",
    "The release in which the login flow stops using a token",
    "How many tokens may one call use?",
    "Pin the version to the one that the author tested.",
    "Describe how the password reset should behave.",
    "The type of authentication that is to take the place of the token",
    "Days until it expires",
    "Your opinion of the authentication design",
];

fn asks_by_name(name: &str) -> bool {
    let form = json!({"type": "object", "properties": {name: {"type": "string"}}});
    !refused(&read(&form)).is_empty()
}

#[test]
fn names_and_titles_that_ask_for_a_secret_are_refused() {
    for name in SECRET_NAMES {
        assert!(asks_by_name(name), "{name}");
        let titled = with(json!({"type": "string", "title": name}));
        assert_eq!(refused(&titled), ["/schema/properties/f/title"], "{name}");
    }
}

#[test]
fn common_names_and_titles_raise_no_alarm() {
    for name in HARMLESS_NAMES {
        assert!(!asks_by_name(name), "{name}");
        assert!(refused(&with(json!({"type": "integer", "title": name}))).is_empty(), "{name}");
    }
}

#[test]
fn prose_is_refused_where_it_asks_and_not_where_it_mentions() {
    for prose in ASKING {
        let form = with(json!({"type": "string", "description": prose}));
        assert_eq!(refused(&form), ["/schema/properties/f/description"], "{prose}");
    }
    for prose in NOT_ASKING {
        assert_eq!(asked_secret(prose), None, "{prose}");
    }
}

#[test]
fn what_cannot_hold_a_secret_may_speak_of_it() {
    for field in [
        json!({"type": "boolean"}),
        json!({"type": "string", "enum": ["oauth", "basic"]}),
        json!({"type": "string", "oneOf": [{"const": "a", "title": "A"}]}),
        json!({"type": "array", "items": {"type": "string", "enum": ["a"]}}),
        json!({"type": "string", "format": "date"}),
        json!({"type": "string", "format": "date-time"}),
    ] {
        let form = json!({"type": "object", "properties": {"password": field}});
        assert!(refused(&read(&form)).is_empty(), "{form}");
    }
    for field in [
        json!({"type": "integer"}),
        json!({"type": "number"}),
        json!({"type": "string", "format": "email"}),
        json!({"type": "string", "format": "uri"}),
    ] {
        let form = json!({"type": "object", "properties": {"password": field}});
        assert_eq!(refused(&read(&form)), ["/schema/properties/password"], "{form}");
    }
}

proptest! {
    /// A secret is found in every spelling and after any words.
    #[test]
    fn spelling_hides_nothing(
        words in prop::sample::select(vec![
            vec!["api", "key"], vec!["client", "secret"], vec!["access", "token"],
            vec!["card", "number"], vec!["private", "key"], vec!["password"], vec!["otp", "code"],
        ]),
        before in prop::sample::select(vec!["stripe", "production", "acme", "customer"]),
        style in 0_usize..5,
    ) {
        let all: Vec<&str> = [before].into_iter().chain(words).collect();
        let capital = |word: &str| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_uppercase())
        };
        let name = match style {
            0 => all.join("_"),
            1 => all.join("-"),
            2 => all.iter().map(|word| capital(word)).collect::<String>(),
            3 => all.join("_").to_uppercase(),
            _ => all.iter().map(|word| capital(word)).collect::<Vec<_>>().join(" "),
        };
        prop_assert!(asks_by_name(&name), "{}", name);
    }

    /// A secret's word inside a longer word is no secret.
    #[test]
    fn only_whole_words_count(
        word in prop::sample::select(vec!["pin", "otp", "ssn", "cvv", "token", "secret", "pwd"]),
        before in "[b-df-hj-np-sv-z]{1,4}",
        after in "[b-df-hj-np-rtv-z]{1,4}",
    ) {
        let (front, back) = (format!("{before}{word}"), format!("{word}{after}"));
        prop_assert!(!asks_by_name(&front), "{}", front);
        prop_assert!(!asks_by_name(&back), "{}", back);
    }

    /// No text causes a panic.
    #[test]
    fn any_text_is_read(text in "\\PC{0,80}") {
        let _ = asked_secret(&text);
        asks_by_name(&format!("f{text}"));
    }
}
