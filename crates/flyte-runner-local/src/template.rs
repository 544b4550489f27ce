//! Replaces the template variables in a container's command and arguments, for example `{{.input}}` and `{{.outputPrefix}}`.

/// Replaces each variable for which `value` returns a value. Other variables remain in the text. `value` gets the name in
/// lower case, so the case does not matter.
#[must_use]
pub(crate) fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (before, open) = rest.split_at(at);
        filled.push_str(before);
        let Some(end) = open.find("}}") else { break };
        let (whole, after) = open.split_at(end + 2);
        let name = whole[2..end].trim().strip_prefix(['.', '$']).map(str::to_ascii_lowercase);
        match name.and_then(|name| value(&name)) {
            Some(value) => filled.push_str(&value),
            None if whole[2..].contains("{{") => {
                // The closing braces may belong to the second pair of opening braces.
                filled.push_str("{{");
                rest = &open[2..];
                continue;
            }
            None => filled.push_str(whole),
        }
        rest = after;
    }
    if let Some(at) = rest.find("{{") {
        filled.push_str(&rest[at..]);
    } else {
        filled.push_str(rest);
    }
    filled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> String {
        fill(text, |name| (name == "runname").then(|| "r1".to_owned()))
    }

    #[test]
    fn known_variables_are_replaced() {
        assert_eq!(filled("{{.runName}}"), "r1");
        assert_eq!(filled("a {{ .RunName }}b{{$runname}}"), "a r1br1");
        for unknown in ["{{.inputs.x}}", "{{runName}}", "{{", "}}", "{{.runName", "{{}}", "{}", "a{{b{{c"] {
            assert_eq!(filled(unknown), unknown);
        }
        assert_eq!(filled("{{ {{.runName}}"), "{{ r1");
        assert_eq!(filled("é{{.runName}}é{{"), "ér1é{{");
    }

    proptest! {
        #[test]
        fn text_without_variables_does_not_change(text in "[{}. a-cé]{0,40}") {
            prop_assert_eq!(fill(&text, |_| None), text);
        }

        #[test]
        fn replaced_values_are_not_parsed_again(before in "[a-z ]{0,9}", value in "[{}.$a-z]{0,9}") {
            let text = format!("{before}{{{{.x}}}}");
            prop_assert_eq!(fill(&text, |name| (name == "x").then(|| value.clone())), format!("{before}{value}"));
        }
    }
}
