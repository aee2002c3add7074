//! The examples in Markdown: blocks of shell, and the words of their commands.

use std::{iter::Peekable, str::Chars};

/// The blocks that begin with the line `fence`.
pub fn fenced(text: &str, fence: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if !inside && line == fence {
            (inside, _) = (true, blocks.push(String::new()));
        } else if line == "```" {
            inside = false;
        } else if let (true, Some(block)) = (inside, blocks.last_mut()) {
            block.extend([line, "\n"]);
        }
    }
    blocks
}

/// All blocks of shell.
pub fn blocks(text: &str) -> Vec<String> {
    ["```bash", "```sh"].iter().flat_map(|fence| fenced(text, fence)).collect()
}

/// The words of each command. Variables stay as they are written; pipes, lists and substitutions are
/// taken apart; a here-document takes the place of `@-`.
pub fn commands(block: &str) -> Vec<Vec<String>> {
    let block = with_documents(block);
    let mut chars = block.chars().peekable();
    let mut commands = vec![Vec::new()];
    loop {
        match chars.peek().copied() {
            None => return commands,
            Some('\n' | '|' | '&' | ';' | '(' | ')') => {
                chars.next();
                commands.push(Vec::new());
            }
            Some('#') => while chars.next_if(|char| *char != '\n').is_some() {},
            Some(char) if char.is_whitespace() => _ = chars.next(),
            Some(_) => {
                let word = word(&mut chars);
                commands.last_mut().expect("one at least").push(word);
            }
        }
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    let mut quote = None;
    while let Some(char) = chars.next_if(|char| {
        quote.is_some() || !(char.is_whitespace() || ['|', '&', ';', '(', ')'].contains(char))
    }) {
        match (char, quote) {
            ('\'' | '"', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            ('\\', None | Some('"')) => word.extend(chars.next().filter(|char| *char != '\n')),
            (char, _) => word.push(char),
        }
    }
    word
}

fn with_documents(block: &str) -> String {
    let mut text = String::new();
    let mut lines = block.lines();
    while let Some(line) = lines.next() {
        if line.contains("<<'JSON'") {
            let document: Vec<&str> = lines.by_ref().take_while(|line| *line != "JSON").collect();
            let document = document.concat().replace('\'', "");
            text.push_str(&line.replace("@-", &format!("'{document}'")));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}
