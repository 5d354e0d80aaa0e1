//! Which declared paths a route serves: whether a path exists that both the route and the declaration describe.
//!
//! A part of a segment that a variable stands for may be anything, so this errs towards "it serves it".

/// Whether the route `/orders/{id}` or `/files/{*rest}` has requests that `template`, with its base path, declares.
pub fn overlap(route: &str, template: &str) -> bool {
    let mut declared = template.split('/');
    for segment in route.split('/') {
        if segment.starts_with("{*") {
            return declared.next().is_some();
        }
        let Some(part) = declared.next() else { return false };
        if !segments_overlap(segment, part) {
            return false;
        }
    }
    declared.next().is_none()
}

fn segments_overlap(segment: &str, part: &str) -> bool {
    if segment.starts_with('{') {
        return !part.is_empty();
    }
    match (part.split_once('{'), part.rsplit_once('}')) {
        (Some((before, _)), Some((_, after))) => segment.starts_with(before) && segment.ends_with(after),
        _ => segment == part,
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn a_route_serves_the_paths_that_it_shares_with_the_document() {
        for (route, template) in [
            ("/orders", "/orders"),
            ("/orders/{id}", "/orders/{order}"),
            ("/orders/{id}", "/orders/latest"),
            ("/orders/latest", "/orders/{id}"),
            ("/{*rest}", "/orders/{id}"),
            ("/api/{*rest}", "/api/orders"),
            ("/reports/7.pdf", "/reports/{name}.pdf"),
            ("/", "/"),
        ] {
            assert!(overlap(route, template), "{route} {template}");
        }
        for (route, template) in [
            ("/orders", "/orders/{id}"),
            ("/orders/{id}", "/orders"),
            ("/orders/{id}", "/orders/"),
            ("/orders/{id}", "/v1/orders/{id}"),
            ("/api/{*rest}", "/api"),
            ("/api/{*rest}", "/orders"),
            ("/reports/7.csv", "/reports/{name}.pdf"),
        ] {
            assert!(!overlap(route, template), "{route} {template}");
        }
    }
}
