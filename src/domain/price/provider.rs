//! One name for each provider.
//!
//! OpenTelemetry, LiteLLM and genai-prices call the same provider by different names, and agents
//! use any of them. Two names mean the same provider when [`canonical`] makes them equal; a name
//! that it does not know is a provider of its own.

/// Other names of providers, in lower case, and the name used here.
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

/// How a model's name starts when its maker sells it, and the maker.
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

/// The name of a provider that all its names have in common: in lower case, `google` for
/// `gcp.gemini`, `mistral` for `mistral_ai`. Applied again it changes nothing.
#[must_use]
pub fn canonical(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    if name.starts_with("vertex_ai-") {
        return "vertex_ai".to_owned();
    }
    let known = ALIASES.iter().find(|(alias, _)| *alias == name);
    known.map_or(name, |(_, used)| (*used).to_owned())
}

/// Who made a model, as far as its name tells.
#[must_use]
pub fn maker(model: &str) -> Option<&'static str> {
    let model = model.to_ascii_lowercase();
    MAKERS.iter().find(|(start, _)| model.starts_with(start)).map(|(_, maker)| *maker)
}
