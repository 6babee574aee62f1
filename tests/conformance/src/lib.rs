//! What every engine must do: one suite, run on each of them.
//!
//! A case is an async function that takes an engine and a [`World`] and panics when the engine breaks its promise.
//! Each is named as the promise. [`every_case`] lists them all for an engine's test target, which makes a test of each
//! on a fresh engine, and looks for leaks after it. What an engine cannot do is one of its [`gaps`], and fails there.
//!
//! What only one engine has (processes of its own, a reopened data directory) is tested in that engine's target.

#![expect(clippy::unwrap_used, reason = "a broken promise panics, and the test that runs the case fails")]
#![expect(clippy::missing_panics_doc, reason = "every case panics when its promise is broken")]

pub mod attach;
pub mod builds;
mod credentials;
pub mod crowd;
pub mod disk;
pub mod endpoints;
pub mod events;
pub mod exec;
pub mod exits;
pub mod files;
mod gaps;
pub mod images;
pub mod kernel;
pub mod limits;
pub mod logs;
pub mod mounts;
pub mod names;
pub mod networks;
mod others;
pub mod ports;
pub mod process;
pub mod processes;
pub mod prune;
pub mod prune_others;
pub mod pulls;
pub mod refusals;
pub mod resolution;
pub mod resolver;
pub mod secrets;
pub mod states;
pub mod stop;
pub mod transfers;
mod world;

pub use credentials::look_for_credentials_in;
pub use gaps::{Gap, UnderTest, gaps, hold_to};
pub use others::Others;
pub use world::World;
pub use world::{
    APP, PATIENCE, Silent, config, create, image_log, key, log_lines, observe, run, run_to_end, shell, state,
    wait_exited, wait_for_log,
};

/// Calls the macro of that name with all cases: `every_case!(tests)` expands to `tests! { module::case, ... }`.
#[macro_export]
macro_rules! every_case {
    ($callback:ident) => {
        $callback! {
            attach::a_command_is_run_for_somebody_who_is_there,
            attach::a_command_that_cannot_be_run_has_its_code,
            attach::a_command_has_a_terminal_with_the_size_of_the_window,
            attach::a_command_takes_as_much_as_it_gives,
            attach::a_command_ends_with_whoever_it_is_for,
            attach::a_command_runs_alone,
            attach::a_container_runs_in_the_foreground,
            attach::several_are_attached_to_a_container,
            attach::a_container_has_a_terminal,
            builds::a_cache_is_mounted_from_step_to_step,
            builds::the_context_is_mounted_for_a_step,
            builds::memory_is_mounted_for_a_step,
            builds::a_here_document_is_run_and_copied,
            builds::a_file_is_copied_with_link,
            builds::a_file_is_copied_with_a_mode,
            builds::a_file_is_fetched_from_its_url,
            builds::a_dockerfile_is_no_file_of_the_context,
            crowd::many_containers_come_and_go_at_once,
            crowd::many_commands_run_in_one_container_at_once,
            disk::what_is_on_the_disk_is_counted_and_measured,
            events::an_exit_is_told_as_an_event,
            endpoints::a_container_is_on_several_networks,
            endpoints::a_container_has_other_names,
            endpoints::a_container_has_the_address_asked_for,
            exec::a_command_gives_its_code_and_output,
            exec::a_command_has_the_containers_environment_and_directory,
            exec::a_command_that_takes_too_long_is_killed,
            exec::a_command_that_does_not_exist_has_code_127,
            exec::only_the_tail_of_much_output_is_kept,
            exec::nothing_is_run_in_a_container_that_does_not_run,
            exits::an_exit_code_is_told,
            exits::a_signal_is_told_as_128_and_its_number,
            exits::a_killed_first_process_has_code_137,
            exits::an_exited_container_starts_again,
            exits::a_command_that_does_not_exist_cannot_be_started,
            files::what_a_container_changes_is_told,
            files::a_directory_that_is_made_anew_hides_what_was_in_it,
            files::mounts_are_no_changes,
            files::the_files_of_a_container_are_exported,
            files::what_does_not_exist_is_not_exported,
            images::the_same_build_twice_gives_the_same_id,
            images::a_changed_context_gives_another_id,
            images::a_failed_build_says_which_step_and_leaves_no_image,
            images::a_build_argument_reaches_the_step,
            images::a_removed_reference_is_gone_and_can_be_removed_twice,
            kernel::ulimits_are_those_asked_for,
            kernel::parameters_of_the_kernel_are_the_containers_own,
            kernel::shared_memory_has_the_size_asked_for,
            kernel::a_device_is_given_with_its_permissions,
            kernel::groups_are_added_to_those_of_the_user,
            limits::a_container_out_of_memory_is_told_so,
            limits::processes_are_limited,
            limits::limits_change_in_place,
            limits::usage_is_told_of_what_runs,
            limits::traffic_of_a_network_is_counted,
            limits::processor_time_is_limited,
            logs::both_streams_are_in_the_log_with_times,
            logs::a_tail_is_the_last_lines,
            logs::lines_before_a_time_are_left_out,
            logs::lines_after_a_time_are_left_out,
            logs::a_log_is_followed_up_to_a_time,
            logs::a_log_survives_the_container,
            logs::a_followed_log_goes_on,
            logs::a_log_of_nobody_is_empty,
            logs::a_log_is_bounded_and_keeps_the_newest,
            mounts::a_named_volume_outlives_its_container,
            mounts::a_new_volume_begins_with_the_images_content,
            mounts::a_volume_with_content_is_left_as_it_is,
            mounts::a_host_directory_mounted_read_only_cannot_be_written,
            mounts::a_file_of_the_source_is_mounted_read_only,
            mounts::a_tmpfs_is_empty_and_gone_with_the_run,
            mounts::a_tmpfs_has_the_size_and_mode_asked_for,
            mounts::a_read_only_root_cannot_be_written_but_its_volumes_can,
            mounts::what_a_container_wrote_outlives_a_restart_and_not_its_removal,
            mounts::a_volume_in_use_cannot_be_removed,
            mounts::a_volume_is_created_and_removed_twice,
            mounts::a_volume_mounted_read_only_cannot_be_written,
            names::the_longest_names_work,
            names::things_of_different_kinds_can_have_one_name,
            names::the_same_name_in_another_app_is_another_container,
            names::labels_are_observed_as_they_were_given,
            networks::a_published_port_answers,
            networks::a_published_port_moves_to_the_next_container,
            networks::containers_of_one_network_reach_each_other,
            networks::a_container_without_network_has_only_loopback,
            networks::a_network_in_use_cannot_be_removed,
            networks::a_network_is_created_and_removed_twice,
            networks::containers_of_one_network_know_each_other_by_name,
            networks::an_internal_network_has_no_way_out,
            ports::a_port_is_published_on_the_address_asked_for,
            ports::datagrams_reach_a_published_udp_port,
            ports::one_number_is_a_port_of_each_protocol,
            ports::a_port_that_is_left_open_is_chosen_and_told,
            ports::a_free_port_of_a_range_is_chosen,
            ports::every_exposed_port_is_published,
            process::the_image_gives_command_environment_and_directory,
            process::the_spec_wins_over_the_image,
            process::an_entrypoint_of_the_spec_drops_the_images_command,
            process::a_user_is_looked_up_in_the_image,
            process::the_host_name_is_the_containers_name_unless_given,
            process::no_new_privileges_is_set_when_asked_for,
            process::dropped_capabilities_are_gone,
            process::system_calls_and_paths_can_be_left_unconfined,
            process::an_init_starts_the_program_and_passes_signals_on,
            process::an_init_takes_in_processes_that_nobody_waits_for,
            process::the_process_told_is_the_first_of_the_container,
            processes::processes_are_told_as_the_host_knows_them,
            processes::a_process_of_nobody_known_is_told_by_its_number,
            processes::only_what_runs_has_processes,
            processes::a_paused_container_has_its_processes,
            prune::an_unused_image_goes_and_one_that_is_used_or_kept_stays,
            prune::an_image_to_go_back_to_stays,
            prune::an_image_that_was_used_until_now_is_not_old,
            prune::a_filter_keeps_images_by_name_and_label,
            prune::a_dangling_image_goes_without_those_that_have_names,
            prune::an_exited_container_goes_when_it_is_old_and_not_declared,
            prune::a_prune_leaves_everything_of_a_broken_app,
            prune::a_volume_goes_only_if_it_may_and_nobody_uses_it,
            prune::a_prune_without_rules_removes_nothing,
            prune_others::what_others_made_goes_only_where_that_is_allowed,
            prune_others::what_others_made_goes_by_age_and_filter,
            prune_others::a_name_that_others_gave_stays_with_its_image,
            prune_others::build_cache_is_foreseen_with_its_sizes,
            prune_others::an_image_stays_under_the_name_that_is_wanted,
            prune_others::an_image_that_is_wanted_by_its_digest_stays,
            pulls::a_pulled_image_is_run_by_its_tag,
            pulls::a_digest_names_one_image_whatever_its_tag_is,
            pulls::a_tag_that_has_moved_is_pulled_again,
            pulls::the_digest_at_the_registry_is_observed,
            pulls::a_tag_beside_a_digest_means_nothing,
            pulls::a_pull_can_be_repeated,
            pulls::an_image_is_pulled_twice_at_once,
            pulls::a_pull_tells_its_progress,
            pulls::an_image_that_no_registry_has_is_named_by_a_pull,
            pulls::a_tag_is_pulled_as_soon_as_the_registry_has_it,
            pulls::a_pulled_image_needs_its_registry_no_more,
            pulls::a_registry_lets_in_only_with_the_right_credentials,
            pulls::a_registrys_credential_helper_is_asked,
            pulls::the_credential_store_is_asked,
            pulls::a_build_logs_in_for_what_it_begins_with,
            refusals::an_image_that_is_not_here_is_refused,
            refusals::a_missing_host_path_is_refused,
            refusals::an_unknown_user_is_refused,
            refusals::a_port_in_use_is_refused_and_works_when_free,
            refusals::a_container_created_from_something_else_is_refused,
            refusals::what_does_not_exist_cannot_be_started,
            refusals::a_running_container_cannot_be_removed,
            resolution::a_name_resolves_whoever_was_started_first,
            resolution::a_name_follows_its_container_when_it_is_made_anew,
            resolution::names_of_two_networks_are_apart,
            resolution::names_of_an_internal_network_resolve,
            resolver::the_resolver_is_told_what_the_spec_says,
            resolver::the_host_can_have_a_name,
            secrets::a_secret_is_seen_by_its_step_alone,
            secrets::a_secret_that_is_required_is_missed_by_its_name,
            secrets::a_step_talks_with_an_agent_for_keys,
            states::a_created_container_does_not_run,
            states::a_started_container_runs_until_it_is_stopped,
            states::a_paused_container_does_nothing_until_it_is_resumed,
            states::a_container_that_never_ran_is_removed,
            states::every_operation_can_be_repeated,
            states::observed_config_is_what_was_asked_for,
            states::log_rotation_changes_in_place,
            stop::a_process_that_heeds_the_signal_gives_its_own_code,
            stop::a_process_that_ignores_the_signal_is_killed_after_the_grace,
            stop::the_images_stop_signal_is_sent,
            stop::a_given_signal_wins_over_the_images,
            stop::a_paused_container_is_stopped,
            stop::a_signal_is_sent_by_its_name,
            stop::no_process_of_a_stopped_container_is_left,
            transfers::an_image_is_listed_under_all_its_names,
            transfers::a_name_can_be_given_moved_and_taken,
            transfers::an_image_in_use_is_not_removed_by_hand,
            transfers::a_saved_image_is_loaded_again,
            transfers::what_is_no_archive_is_not_loaded,
            transfers::a_pushed_image_is_pulled_again,
        }
    };
}
