//! Canonical provider names.
//!
//! OpenTelemetry, LiteLLM and genai-prices name the same provider differently, and agents use any
//! of these names. Two names mean one provider if [`canonical`] makes them equal; an unknown name
//! is a provider of its own.

/// Alternative provider names, in lower case, with the canonical one.
const ALIASES: &[(&str, &str)] = &[
    ("text-completion-openai", "openai"),
    ("gemini", "google"),
    ("gcp.gemini", "google"),
    ("gcp.gen_ai", "google"),
    ("google-gla", "google"),
    ("google_genai", "google"),
    ("gcp.vertex_ai", "vertex_ai"),
    ("google-vertex", "vertex_ai"),
    ("google_vertexai", "vertex_ai"),
    ("mistral_ai", "mistral"),
    ("mistralai", "mistral"),
    ("azure.ai.openai", "azure"),
    ("azure_openai", "azure"),
    ("azure_text", "azure"),
    ("azure.ai.inference", "azure_ai"),
    ("aws", "bedrock"),
    ("aws.bedrock", "bedrock"),
    ("aws_bedrock", "bedrock"),
    ("amazon-bedrock", "bedrock"),
    ("bedrock_converse", "bedrock"),
    ("x_ai", "xai"),
    ("x-ai", "xai"),
    ("moonshot_ai", "moonshot"),
    ("moonshotai", "moonshot"),
    ("ibm.watsonx.ai", "watsonx"),
    ("cohere_chat", "cohere"),
    ("together", "together_ai"),
    ("fireworks", "fireworks_ai"),
    ("fireworks_ai-embedding-models", "fireworks_ai"),
];

/// Prefixes of model names that their makers sell, with the maker.
const MAKERS: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-3", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "google"),
    ("mistral-", "mistral"),
    ("ministral-", "mistral"),
    ("magistral-", "mistral"),
    ("codestral-", "mistral"),
    ("devstral-", "mistral"),
    ("pixtral-", "mistral"),
    ("deepseek-", "deepseek"),
    ("grok-", "xai"),
    ("command-", "cohere"),
    ("kimi-", "moonshot"),
    ("sonar", "perplexity"),
];

/// Provider under which the price book states the price of calls without a stated provider. It decides
/// them also where the prices of other providers differ.
pub const UNSTATED: &str = "unknown";

/// The canonical name of a provider, in lower case: `google` for `gcp.gemini`, `mistral` for
/// `mistral_ai`. Idempotent.
#[must_use]
pub fn canonical(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    if name.starts_with("vertex_ai-") {
        return "vertex_ai".to_owned();
    }
    let known = ALIASES.iter().find(|(alias, _)| *alias == name);
    known.map_or(name, |(_, used)| (*used).to_owned())
}

/// The maker of a model, derived from its name.
#[must_use]
pub fn maker(model: &str) -> Option<&'static str> {
    let model = model.to_ascii_lowercase();
    MAKERS.iter().find(|(start, _)| model.starts_with(start)).map(|(_, maker)| *maker)
}
