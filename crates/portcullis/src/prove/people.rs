//! Who may send a request to a target, and who may not.

use super::stand::{OUTSIDER, Rehearsal};
use super::target::Target;
use portcullis_checks::authn::method::Establishes;
use portcullis_checks::authn::{MethodConfig, Needed};
use portcullis_checks::rehearsal::{Attack, Credential, Person, Stage};
use serde_json::json;
use std::collections::BTreeMap;

/// The most consumers of one kind that are asked whether they may.
const MOST: usize = 12;
const SUBJECT: &str = "rehearsal-subject";

/// Somebody with what proves it.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) person: Person,
    pub(super) credential: Credential,
    /// Path parameters that name what is theirs.
    pub(super) parameters: BTreeMap<String, String>,
}

/// Who could pass a target by these methods together, the likeliest first. The error says why there is nobody.
pub(super) fn candidates(
    rehearsal: &Rehearsal,
    target: &Target<'_>,
    methods: &[&MethodConfig],
    stage: &Stage<'_>,
) -> Result<Vec<Candidate>, String> {
    let mut found = Vec::new();
    let mut why = "no consumer has what the route asks for".to_owned();
    for (person, parameters) in people(rehearsal, target, methods, stage) {
        let made: Result<Vec<_>, _> = methods.iter().map(|method| method.good(&person, stage)).collect();
        match made {
            Ok(credentials) => {
                let credential = credentials.into_iter().fold(Credential::default(), Credential::and);
                found.push(Candidate { person, credential, parameters });
            }
            Err(reason) => why = reason,
        }
    }
    if found.is_empty() { Err(why) } else { Ok(found) }
}

fn people(
    rehearsal: &Rehearsal,
    target: &Target<'_>,
    methods: &[&MethodConfig],
    stage: &Stage<'_>,
) -> Vec<(Person, BTreeMap<String, String>)> {
    let authorization = target.security.as_ref().and_then(|security| security.authorization.as_ref());
    let own =
        |person: &mut Person| authorization.map(|wanted| wanted.own_parameters(person)).unwrap_or_default();
    let consumers = methods.iter().any(|method| method.establishes() == Establishes::Consumers);
    if consumers {
        let known = stage.consumers.iter().filter(|known| !known.name.starts_with(OUTSIDER));
        let mut people: Vec<Person> = known.map(portcullis_checks::rehearsal::Known::person).collect();
        people.retain(|person| refusals(target, person).is_empty());
        people.sort_by_key(|person| std::cmp::Reverse(person.roles.len() + person.scopes.len()));
        people.truncate(MOST);
        return people
            .into_iter()
            .map(|mut person| {
                let own = own(&mut person);
                (person, own)
            })
            .collect();
    }
    if methods.iter().all(|method| method.establishes() == Establishes::Unnamed) {
        return vec![(Person { name: "key".to_owned(), ..Person::default() }, BTreeMap::new())];
    }
    let mut person = Person { name: SUBJECT.to_owned(), ..Person::default() };
    let mut parameters = authorization.map(|wanted| wanted.fit(&mut person)).unwrap_or_default();
    if let Some(operation) = &target.operation {
        person.scopes.extend(operation.scopes.iter().cloned());
    }
    let mut all = vec![(person.clone(), parameters.clone())];
    let condition = authorization.and_then(|wanted| wanted.condition.as_ref());
    if let Some(condition) = condition {
        suppose(&condition.value, &mut person);
        if let Some(wanted) = authorization {
            parameters = wanted.own_parameters(&mut person);
        }
        all.push((person, parameters));
    }
    let _ = rehearsal;
    all
}

/// By which declared rules a consumer may not. A token's subject is made to fit instead.
pub(super) fn refusals(target: &Target<'_>, person: &Person) -> Vec<Attack> {
    let Some(wanted) = target.security.as_ref().and_then(|security| security.authorization.as_ref()) else {
        return Vec::new();
    };
    let mut refusals = Vec::new();
    if let Some(allowed) = &wanted.roles_allowed
        && !allowed.value.iter().any(|role| person.roles.contains(role))
    {
        refusals.push(Attack::WrongRole);
    }
    if let Some(scopes) = &wanted.scopes_required
        && !scopes.value.iter().all(|scope| person.scopes.contains(scope))
    {
        refusals.push(Attack::MissingScope);
    }
    refusals
}

/// Makes somebody of whom an expression in CEL could be true: each comparison with a text in it is taken for a wish. What comes
/// of it is judged like everything else.
fn suppose(condition: &str, person: &mut Person) {
    let mut rest = condition;
    while let Some(at) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(at);
        let quote = quoted.chars().next().unwrap_or('"');
        let inner = quoted.get(1..).unwrap_or_default();
        let Some(end) = inner.find(quote) else { break };
        let (text, after) = inner.split_at(end);
        let after = after.get(1..).unwrap_or_default();
        let names = |text: &str, of: &str| text.contains(of);
        let equals = before.trim_end().strip_suffix("==").map(|left| last_name(left.trim_end()));
        let within = after.trim_start().strip_prefix("in ").map(|right| first_name(right.trim_start()));
        let place = equals.or(within).unwrap_or_default();
        if names(&place, "principal.roles") {
            person.roles.push(text.to_owned());
        } else if names(&place, "principal.scopes") {
            person.scopes.push(text.to_owned());
        } else if names(&place, "principal.name") {
            text.clone_into(&mut person.name);
        } else if let Some(claim) = place.strip_prefix("claims.") {
            let value = if within_list(after) { json!([text]) } else { json!(text) };
            person.claims.insert(claim.to_owned(), value);
        }
        rest = after;
    }
    let mut rest = condition;
    while let Some(at) = rest.find("claims.") {
        let name = first_name(rest.get(at..).unwrap_or_default());
        rest = rest.get(at + "claims.".len()..).unwrap_or_default();
        let claim = name.trim_start_matches("claims.").to_owned();
        let after = rest.get(claim.len()..).unwrap_or_default().trim_start();
        if let Some(number) = ["==", ">=", "<="].iter().find_map(|sign| after.strip_prefix(sign)) {
            let number = number.trim_start();
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(number) = digits.parse::<i64>() {
                person.claims.entry(claim).or_insert_with(|| json!(number));
            } else if number.starts_with("true") {
                person.claims.entry(claim).or_insert_with(|| json!(true));
            }
        } else {
            person.claims.entry(claim).or_insert_with(|| json!(true));
        }
    }
}

fn within_list(after: &str) -> bool {
    after.trim_start().starts_with("in ")
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '.' | '_')
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|char| is_name(*char)).collect()
}

fn last_name(text: &str) -> String {
    let reversed: String = text.chars().rev().take_while(|char| is_name(*char)).collect();
    reversed.chars().rev().collect()
}

/// The methods that must be shown together: each alone where one is enough.
pub(super) fn combinations<'a>(target: &'a Target<'_>) -> Vec<Vec<&'a MethodConfig>> {
    let authentication = target.security.as_ref().and_then(|security| security.authentication.as_ref());
    match authentication {
        _ if target.config.public.is_some() => Vec::new(),
        None => Vec::new(),
        Some(authentication) => match authentication.needed {
            Needed::Any => authentication.methods.iter().map(|method| vec![method]).collect(),
            Needed::All => vec![authentication.methods.iter().collect()],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_says_who_could_fit_it() {
        let of = |condition: &str| {
            let mut person = Person::default();
            suppose(condition, &mut person);
            person
        };
        let person = of(
            "\"mfa\" in claims.amr && claims.level >= 2 && claims.verified == true && claims.tenant == 'a'",
        );
        assert_eq!(person.claims["amr"], json!(["mfa"]));
        assert_eq!(person.claims["level"], json!(2));
        assert_eq!(person.claims["verified"], json!(true));
        assert_eq!(person.claims["tenant"], json!("a"));
        assert_eq!(of("\"admin\" in principal.roles || principal.name == \"root\"").roles, ["admin"]);
        assert_eq!(of("principal.name == \"root\"").name, "root");
    }
}
