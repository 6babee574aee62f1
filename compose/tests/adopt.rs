//! Specs that take over a running Compose project.

#![allow(clippy::unwrap_used, reason = "the helpers fail the test that calls them")]

mod support;

use homeostat_compose::{Import, Kind, Request, import};
use homeostat_spec::{Adopt, ContainerImage, MountSource, NetworkMode};
use support::{World, assert_valid, request};

fn adopting(text: &str) -> Import {
    import(&Request { adopt: true, ..request("compose", text) }, &World).unwrap()
}

fn lost(import: &Import) -> Vec<String> {
    let lost = import.findings.iter().filter(|finding| finding.kind == Kind::NotCarriedOver);
    lost.map(|finding| format!("{}: {}", finding.line, finding.path)).collect()
}

/// The names that are asked for.
fn names(adopt: Option<&Adopt>) -> Vec<&str> {
    adopt.map_or(&[][..], Adopt::written).iter().map(String::as_str).collect()
}

#[test]
fn containers_volumes_and_networks_are_taken_over_by_the_names_that_compose_gives() {
    let import = adopting(
        "name: My_Shop\nservices:\n  web: {image: \"x:1\", networks: [front]}\n  \
         job_1: {image: \"x:1\", container_name: the-job, networks: [edge], volumes: [\"data:/a\", \"old:/b\", \"mine:/c\"]}\n\
         networks: {front: {}, edge: {external: true, name: proxy}}\n\
         volumes: {data: {}, old: {external: true}, mine: {name: my_data}}\n",
    );
    assert_eq!(lost(&import), [""; 0]);
    let app = assert_valid("adopt", &import);
    assert_eq!(app.name.as_str(), "my-shop");
    assert_eq!(names(app.containers["web"].adopt.as_ref()), ["my_shop-web-1", "my_shop_web_1"]);
    assert_eq!(names(app.containers["job-1"].adopt.as_ref()), ["the-job"]);
    assert_eq!(names(app.networks["front"].adopt.as_ref()), ["my_shop_front"]);
    assert_eq!(names(app.networks["edge"].adopt.as_ref()), ["proxy"]);
    assert_eq!(names(app.volumes["data"].adopt.as_ref()), ["my_shop_data"]);
    assert_eq!(names(app.volumes["old"].adopt.as_ref()), ["old"]);
    assert_eq!(names(app.volumes["mine"].adopt.as_ref()), ["my_data"]);
    assert!(app.volumes.values().all(|volume| volume.retain));
    assert_eq!(app.containers["job-1"].config.network, NetworkMode::Named("edge".parse().unwrap()));
}

#[test]
fn another_name_of_the_app_changes_nothing_of_what_is_taken_over() {
    let text = "name: shop\nservices: {web: {image: \"x:1\"}}\n";
    let request = Request { adopt: true, app: Some("front".parse().unwrap()), ..request("compose", text) };
    let app = assert_valid("app", &import(&request, &World).unwrap());
    assert_eq!(names(app.containers["web"].adopt.as_ref()), ["shop-web-1", "shop_web_1"]);
    assert_eq!(names(app.networks["default"].adopt.as_ref()), ["shop_default"]);
}

#[test]
fn paths_that_a_container_has_from_the_host_stay_paths_of_the_host() {
    let app = assert_valid(
        "paths",
        &adopting("services: {web: {image: \"x:1\", volumes: [\"./conf:/conf:ro\"]}}\n"),
    );
    assert_eq!(
        app.containers["web"].config.mounts[0].source,
        MountSource::Host("/srv/compose/conf".to_owned())
    );
}

#[test]
fn the_image_is_the_one_that_compose_has_built() {
    let import = adopting(
        "name: shop\nservices:\n  web: {build: ./web}\n  api: {build: ./api, image: acme/api}\n  job: {image: acme/api}\n",
    );
    assert_eq!(lost(&import), [""; 0]);
    let app = assert_valid("built", &import);
    let image = |name: &str| app.containers[name].image.clone();
    assert_eq!(image("web"), ContainerImage::Reference("shop-web:latest".to_owned()));
    assert_eq!(image("api"), ContainerImage::Reference("acme/api:latest".to_owned()));
    assert_eq!(image("job"), ContainerImage::Reference("acme/api:latest".to_owned()));
    assert!(app.images.is_empty());
    assert!(import.spec.contains("#[image.web]\n#build = { context = \"./web\" }\n"), "{}", import.spec);
}

#[test]
fn networks_stay_apart_and_a_container_is_on_several() {
    let import = adopting(
        "name: shop\nservices:\n  proxy: {image: \"x:1\", networks: [front, back]}\n  db: {image: \"x:1\", networks: [back]}\n\
         networks: {front: {}, back: {}}\n",
    );
    assert_eq!(lost(&import), [""; 0]);
    let app = assert_valid("networks", &import);
    assert_eq!(app.containers["db"].config.network, NetworkMode::Named("back".parse().unwrap()));
    let networks: Vec<_> = app.containers["proxy"].config.app_networks().map(ToString::to_string).collect();
    assert_eq!(networks, ["back", "front"]);
}

#[test]
fn a_volume_without_a_name_cannot_be_taken_over() {
    let import = adopting("services:\n  web:\n    image: x:1\n    volumes: [/data]\n");
    assert_eq!(lost(&import), ["4: services.web.volumes[0]"]);
    let app = assert_valid("anonymous", &import);
    assert_eq!(app.volumes["web-data"].adopt, None);
}

#[test]
fn a_volume_with_a_driver_of_its_own_is_taken_over_as_the_volume_that_it_is() {
    let import = adopting(
        "name: shop\nservices: {web: {image: \"x:1\", volumes: [\"nas:/nas\", \"disk:/disk\"]}}\nvolumes:\n  \
         nas: {driver_opts: {type: cifs, o: \"username=me\", device: //nas/share}}\n  \
         disk: {driver_opts: {type: none, o: bind, device: /srv/disk}}\n",
    );
    assert_eq!(lost(&import), [""; 0]);
    let app = assert_valid("driver", &import);
    assert_eq!(names(app.volumes["nas"].adopt.as_ref()), ["shop_nas"]);
    assert_eq!(names(app.volumes["disk"].adopt.as_ref()), ["shop_disk"]);
    assert!(!import.spec.contains("/srv/disk"), "{}", import.spec);
}
