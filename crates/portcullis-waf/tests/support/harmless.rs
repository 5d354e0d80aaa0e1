//! Harmless values of real kinds: what people and programs write into the fields of forms and APIs.
//!
//! Each kind is a few forms, filled from lists of words, so that there are many values and none is far from a real one.

/// A generator whose values are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }
}

const FIRST: &[&str] = &[
    "Aoife",
    "D'Angelo",
    "Jean-Luc",
    "María José",
    "Zoë",
    "Søren",
    "Łukasz",
    "N'Golo",
    "Siobhán",
    "Mohammed",
    "Nguyễn",
    "Αλέξανδρος",
    "Дмитрий",
    "美咲",
    "Anne-Sophie",
    "O'Shea",
    "Renée",
    "Björn",
    "Fatima",
    "Chloé",
    "Te'o",
    "Ra'anan",
];
const LAST: &[&str] = &[
    "O'Brien",
    "O’Connor",
    "D'Souza",
    "L'Écuyer",
    "M'Bala",
    "Drop",
    "Null",
    "Select",
    "Union",
    "Grant",
    "Or",
    "Van der Berg",
    "Smith & Sons",
    "al-Hassan",
    "García-Márquez",
    "Müller-Lüdenscheidt",
    "Ó Súilleabháin",
    "Иванов",
    "田中",
    "Nguyen",
    "O'Hara-Smith",
    "St. John",
    "d'Artagnan",
    "Script",
    "Echo",
    "Cat",
    "Sleep",
    "Having",
];
const THINGS: &[&str] = &[
    "order",
    "table",
    "union",
    "select committee",
    "group",
    "script",
    "database",
    "index",
    "update",
    "insert",
    "query",
    "drop",
    "view",
    "join",
    "key",
    "value",
    "system",
    "shell",
    "cat",
    "echo",
    "password reset",
    "cookie",
    "session",
    "template",
    "alert",
    "document",
    "window",
    "location",
    "function",
    "image",
    "link",
    "form",
    "style",
    "object",
    "base",
];
const VERBS: &[&str] = &[
    "select", "update", "delete", "insert", "drop", "create", "alter", "join", "order", "group", "sleep",
    "execute", "call", "open", "load", "include", "require", "import", "print", "echo", "kill", "find",
    "sort", "cut", "type", "set", "ping",
];
const PLACES: &[&str] = &[
    "the kitchen",
    "Dublin (Ireland)",
    "room 4/2",
    "St. John's",
    "Hawai'i",
    "Côte d'Ivoire",
    "the O'Reilly building",
    "Xi'an",
    "Martha's Vineyard",
    "King's Cross",
    "N'Djamena",
    "L'Aquila",
    "the 2nd floor",
    "Coeur d'Alene",
];
const SENTENCES: &[&str] = &[
    "Please {v} the {t} from {p}; it's not where we left it.",
    "I don't think we should {v} or {v2} the {t} -- let's wait until {n} o'clock.",
    "It's {n}% of the {t} and the {t2}, isn't it?",
    "Can you {v} a {t} and then {v2} it into the {t2}? Thanks & regards, {f}",
    "{f} {l} asked: \"where is the {t}?\" and I said 'in {p}'.",
    "We {v} from {p} where there is a {t} or a {t2}.",
    "Select one from the list; union members can {v} the {t} for free.",
    "Create table reservations for {n} at {p}, drop me a line if that's ok!",
    "Die {t} ist nicht da; bitte {v} Sie um {n}:30 Uhr (oder später).",
    "L'ordre du jour n'est pas prêt : il faut {v} la {t} d'ici {n} jours.",
    "¿Puedes {v} la {t}? No sé si es \"{t2}\" o 'otra cosa'.",
    "Это {t} и {t2}; не забудьте {v} до {n}.00!",
    "注文番号は{n}です。{t}を{v}してください（至急）。",
    "Não há {t} em {p}, e eu não quero {v} outra vez...",
    "הזמנה {n} - {t} או {t2}?",
    "الطلب رقم {n}: {t} أو {t2}",
    "1. {v} the {t}\n2. {v2} the {t2}\n3. don't panic; it's fine",
    "The {t} (see #{n}) is between {p} and {p2}, or like {n} = {n}.",
    "Either 1 or 2 = fine with me. And 3 > 2 anyway ;-)",
    "I'd {v} it if {n} < {n} + 1 and {n} > 0 -- trust me",
    "{f}'s {t} & {l}'s {t2}: who's first?",
    "Having had {n} {t}s, {f} ordered by phone; group by group they {v} it.",
    "Waiting for {n} minutes; then sleep (or not).",
    "Rock 'n' roll {t}: '{n}s style / \"{t2}\" -- like a {t}!",
    "My email is {e} or {e2}; call me at +353 1 {n}-{n} (after 5 pm)",
    "The password field won't accept my {t}; error says \"must include 1 of !@#$%^&*()\"",
    "We sell at 5 < x < {n}; profit = price - cost; see <{e}> for details",
    "<3 this {t}! <- click here -> or {n} <= {n}",
    "I love {p}; & the cat, ls and echo of it... | great views",
];
const MARKDOWN: &[&str] = &[
    "# {t} of {p}\n\n- **{v}** the `{t}`\n- [link](https://example.com/{t2}?id={n}&x=1)\n\n> it's a quote -- {f}",
    "Run `npm install {n}` && `npm start`, then open <http://example.com:3000/{t2}>.",
    "```js\nconst {id} = items.filter(x => x.id === {n} && x.name !== '{t}');\nconsole.log({id});\n```",
    "```sql\nSELECT name, count(*) FROM {id} WHERE id = {n} ORDER BY name;\n```\nThat's the query for the {t}.",
    "```sh\ncd /srv/{id}\nls -la | grep {id2} > out.txt; cat out.txt\n```\nsee the *{t}* guide",
    "| {t} | {t2} |\n|-----|-----|\n| {n} | it's ok |\n\n![img](../images/{id}.png)",
    "## Steps\n1. `git clone https://github.com/{id}/{id2}.git`\n2. `make && sudo make install`\n\n---\n<!-- TODO: {v} -->",
    "Use `{{ {id} }}` in the template & `<b>{t}</b>` for bold; see [docs](./{id}.md#{id2}).",
    "<details><summary>{t}</summary>\n\nMore about {p}.\n\n</details>",
    "**Note:** don't use `rm -rf {id}/` -- use the {t} page; it's _safer_.",
];
const CODE: &[&str] = &[
    "function {id}({id2}) {{ return {id2}.map(x => x * {n}); }}",
    "def {id}({id2}):\n    if {id2} == {n} and not done:\n        print('it\\'s {t}')\n    return {id2} or None",
    "public class {id} {{ private int {id2} = {n}; public String get() {{ return \"{t}\"; }} }}",
    "SELECT id, name FROM {id} WHERE {id2} = {n} AND status = 'open' ORDER BY id LIMIT 10",
    "UPDATE {id} SET {id2} = {n} WHERE name = '{t}'",
    "for (let i = 0; i < {n}; i++) {{ {id}[i] = {id2}(i) || 0; }}",
    "import {{ {id} }} from '../../lib/{id2}';\nexport default {id};",
    "if (a && b || c) {{ {id}.push({id2}); }} else {{ return; }}",
    "<div class=\"{id}\"><p>{t}</p><a href=\"/{id2}\">{t2}</a></div>",
    "#include <{id}.h>\nint main(void) {{ printf(\"{t}: %d\\n\", {n}); return 0; }}",
    "{id}: {n}\n{id2}:\n  - name: {t}\n    enabled: true",
    "^[a-z0-9._%+-]+@{id}\\.[a-z]{{2,4}}$",
    ".{id} {{ color: #f{n}; margin: 0 auto; background: url('/img/{id2}.png'); }}",
    "fn {id}<'a>({id2}: &'a str) -> Option<&'a str> {{ {id2}.split('=').nth({n}) }}",
    "SELECT * FROM {id} JOIN {id2} ON {id}.id = {id2}.ref",
    "*/{n} * * * * /usr/bin/{id} --{id2} > /dev/null",
    "FROM rust:1.{n}\nRUN cargo build --release && cp target/release/{id} /bin",
    "const {id} = document.querySelector('#{id2}');\n{id}.textContent = `{t} ${{count}}`;",
];
const GRAPHQL: &[&str] = &[
    "query {id} {{ user(id: {n}) {{ name orders(first: 10) {{ id total }} }} }}",
    "mutation {{ {id}(input: {{ name: \"{t}\", count: {n} }}) {{ ok errors {{ message }} }} }}",
    "query Q($id: ID!, $in: [{id}!]) {{ {id2}(id: $id, where: {{ in: $in, or: true }}) {{ ...F }} }} fragment F on {id} {{ id }}",
    "{{ __typename {id}(filter: {{ price_gt: {n}, or: [{{ name: \"{t}\" }}] }}) {{ id }} }}",
];
const JSON: &[&str] = &[
    "{{\"{id}\": {n}, \"{id2}\": \"{t}\", \"tags\": [\"{t2}\", null, true]}}",
    "[{{\"id\":{n},\"name\":\"{f} {l}\"}},{{\"id\":{n},\"note\":\"it's \\\"ok\\\"\"}}]",
    "{{\"filter\":{{\"{id}\":{{\"gt\":{n},\"lt\":9{n} }} }},\"sort\":\"-{id2}\",\"where\":\"{t}\"}}",
    "{{\"type\":\"{id}\",\"attributes\":{{\"url\":\"https://example.com/{id2}?a=1&b=2\"}}}}",
];
const URLS: &[&str] = &[
    "https://example.com/{id}/{n}?utm_source={id2}&utm_medium=e-mail&q={t}",
    "https://www.example.org/wiki/{l}_({t})#{id}",
    "/api/v{n}/{id}/../{id2}",
    "../{id}/{id2}.html",
    "https://cdn.example.net/{id}/{id2}.min.js?v={n}.{n}.1",
    "https://user.example.com:8443/{id}?next=%2F{id2}%3Fa%3D1&lang=de",
    "mailto:{e}?subject={t}",
    "s3://{id}/{id2}/{n}.parquet",
    "https://maps.example.com/?ll=53.{n},-6.{n}&z=12&t=k",
    "postgres://{id}.example.com:5432/{id2}",
    "C:\\Users\\{f}\\Documents\\{id}.docx",
    "/home/{id}/projects/{id2}/src/main.rs",
    "file{n}.tar.gz",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA{n}AAAB",
];
const SHORT: &[&str] = &[
    "{f} {l}",
    "{l}, {f}",
    "{f} \"the {t}\" {l}",
    "{p}",
    "{e}",
    "{t} & {t2}",
    "{n}",
    "{n}.{n}",
    "-{n}",
    "{n}%",
    "#{n}",
    "{n}' x {n}\"",
    "{n}\" monitor",
    "5'{n}\"",
    "'{n}",
    "{t}; {t2}",
    "{t} | {t2}",
    "A/{n} or B/{n}",
    "{n} or {n}",
    "1=1",
    "a=b",
    "{n}/{n}/20{n}",
    "20{n}-01-02T03:04:05Z",
    "{id}-{id2}-{n}",
    "v{n}.{n}.0-rc.1+build.{n}",
    "€{n},50",
    "(0{n}) {n}{n}",
    "O'{l}",
    "{t}?!",
    "C++",
    "C# / .NET",
    "<none>",
    "N/A",
    "null",
    "undefined",
    "true",
    "SELECT",
    "drop table lamp",
    "the union select team",
    "order by phone",
    "{f} and {l} or {f}",
    "Mr. & Mrs. {l}",
    "AT&T",
    "Q&A: {t}",
    "{t} = {t2}",
    "rock'n'roll",
    "'til {n}",
    "{n} > {n}",
    "x < {n}",
    "Tom's \"{t}\" -- {n}",
    "{id}.{id2}",
    "{id}_{id2}[{n}]",
    "${n}.99",
    "100% {t}",
    "{v}/{v2}",
    "@{id}",
    ":-) {t}",
    "{t} :)",
    "insert coin",
    "update {n}",
    "delete me",
    "{v} all",
    "sleep {n}",
    "ping {id}",
    "cat food",
    "echo park",
    "where is {f}?",
    "like {n}",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1{n}.0.0.0 Safari/537.36",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI{n}In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "dGhpcyBpcyBhIHRlc3Qg{n}Zm9yIGJhc2U2NA==",
    "{n}e4567-e89b-12d3-a456-426614174000",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a{n}",
    "SELECT committee on {t}",
    "Union Square, {p}",
    "Script for {t}, act {n}",
    "the drop in {t} (from {n} to {n})",
    "Alert ({n})",
    "print (or save) the {t}",
    "confirm: {t}",
    "java & javascript: {t}",
    "on load = {n} kg",
    "size=L; color='red'",
    "{t} -- {t2} #{n}",
];

/// All values, each with its kind.
pub(crate) fn values() -> Vec<(&'static str, String)> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let kinds: [(&'static str, &[&str], usize); 8] = [
        ("short", SHORT, 4_000),
        ("prose", SENTENCES, 3_000),
        ("markdown", MARKDOWN, 1_000),
        ("code", CODE, 1_500),
        ("graphql", GRAPHQL, 500),
        ("json", JSON, 800),
        ("url", URLS, 1_200),
        ("base64", &[], 500),
    ];
    let mut values = Vec::new();
    for (kind, forms, count) in kinds {
        for _ in 0..count {
            let text = if forms.is_empty() { base64(&mut random) } else { fill(&mut random, forms) };
            values.push((kind, text));
        }
    }
    values
}

fn fill(random: &mut Random, forms: &[&str]) -> String {
    let mut text = random.of(forms).replace("{{", "\u{1}").replace("}}", "\u{2}");
    let word = |random: &mut Random| random.of(THINGS).replace(' ', "_");
    while let Some(start) = text.find('{') {
        let end = text[start..].find('}').unwrap() + start;
        let made = match &text[start + 1..end] {
            "f" => random.of(FIRST).to_owned(),
            "l" => random.of(LAST).to_owned(),
            "t" | "t2" => random.of(THINGS).to_owned(),
            "v" | "v2" => random.of(VERBS).to_owned(),
            "p" | "p2" => random.of(PLACES).to_owned(),
            "n" => random.below(100).to_string(),
            "e" | "e2" => format!("{}.o'{}+{}@example.com", word(random), word(random), random.below(90)),
            "id" | "id2" => format!("{}{}", word(random), random.below(30)),
            other => panic!("{other}"),
        };
        text.replace_range(start..=end, &made.replace('{', ""));
    }
    text.replace('\u{1}', "{").replace('\u{2}', "}")
}

fn base64(random: &mut Random) -> String {
    let bytes: Vec<u8> =
        (0..10 + random.below(120)).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let text = portcullis_waf::transform::Transformation::Base64Encode.apply(&bytes).unwrap_or_default();
    String::from_utf8(text).unwrap()
}
