//! Pulls beside each other.

use crate::fake::Fake;
use crate::image::{Layer, Packing, noise, put};
use crate::place::{ARCHITECTURE, Place, Told, run};

#[test]
fn two_pulls_of_one_image_download_it_once() {
    let (fake, place) = (Fake::start(), Place::new());
    let layers: Vec<Layer> = (0..5)
        .map(|number| Layer::of(&format!("file{number}"), &noise(200_000 + number), Packing::Gzip))
        .collect();
    let image = put(&fake, ARCHITECTURE, &layers);
    let (registries, reference) = (place.registries(), format!("{}/app:1", fake.host()));
    let (first, second) = run(async {
        let pull = || async { registries.pull(place.store(), &reference, &Told::default()).await };
        futures::join!(pull(), pull())
    });
    assert_eq!((first.unwrap(), second.unwrap()), (image.config.clone(), image.config));
    for layer in &layers {
        assert_eq!(fake.requests(layer.digest.as_str()).len(), 1);
    }
    place.assert_sound();
}

#[test]
fn a_pull_that_is_given_up_leaves_the_store_usable() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = Layer::of("file", &noise(1 << 20), Packing::Gzip);
    let image = put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let path = layer.path();
    fake.change(move |request, reply| {
        if request.path == path {
            reply.stalls_after = Some(reply.body.len() / 2);
        }
    });
    let (registries, reference) = (place.registries(), format!("{}/app:1", fake.host()));
    run(async {
        let told = Told::default();
        let pull = registries.pull(place.store(), &reference, &told);
        tokio::select! {
            _ = pull => panic!("it cannot be done"),
            () = requested(&fake, &layer) => {}
        }
        fake.behave();
        let pulled = registries.pull(place.store(), &reference, &Told::default()).await;
        assert_eq!(pulled.unwrap(), image.config);
    });
    place.assert_sound();
    assert_eq!(place.count("staging"), 0);
}

async fn requested(fake: &Fake, layer: &Layer) {
    while fake.requests(layer.digest.as_str()).is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
