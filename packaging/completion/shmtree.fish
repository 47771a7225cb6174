# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of shmtree(8) for fish.

set -l columns KIND ID NAME PERMS UID GID SIZE ALLOCATED RESIDENT MAPPINGS PROCESSES OPENERS STATE MTIME SWAPPED \
    REFERENCES HIDDEN SINCE USER GROUP AGE
set -l mount_options census= census=auto census=bpf census=query census=text object_census= object_census=auto \
    object_census=off passthrough= passthrough=auto passthrough=off proc= census_interval= attr_timeout= \
    entry_timeout= permissions= permissions=kernel permissions=daemon log metrics_segments= \
    debug clone_fd max_idle_threads= max_threads= \
    allow_other allow_root auto_unmount

complete -c shmtree -f -a '(__fish_complete_directories)'
complete -c shmtree -l list -d 'Print the segments without a mount'
complete -c shmtree -l json -d 'As JSON'
complete -c shmtree -l human -d 'For people'
complete -c shmtree -l columns -x -a "(__fish_append , $columns)" -d 'These columns'
complete -c shmtree -l sort -x -a "$columns -"(string join ' -' $columns) -d 'In this order'
complete -c shmtree -l where -x -a "(__fish_append , $columns)" -d 'Those that meet all conditions'
complete -c shmtree -l fail-over -x -a '80% 90% 95%' -d 'Exit status 2 if the tmpfs is fuller'
complete -c shmtree -s h -l help -d 'Print help'
complete -c shmtree -s V -l version -d 'Print versions'
complete -c shmtree -s d -d 'Trace requests'
complete -c shmtree -s f -d 'Stay in the foreground'
complete -c shmtree -s s -d 'One thread'
complete -c shmtree -s o -x -a "(__fish_append , $mount_options)" -d 'Mount option'
