#!/bin/sh
# Runs a command in the root file system $1 as a pod would with the manifests: read-only, but for
# /tmp, /dev/shm and the home directory, as user 1000 and without capabilities. Needs root; the
# mounts and processes are its own (unshare --mount --pid --fork) and go with it.
set -eu
root=$1
shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777,size=1g tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o uid=1000,gid=1000,mode=755 tmpfs "$root/home/tinysql"
exec chroot "$root" setpriv --reuid=1000 --regid=1000 --clear-groups \
  --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
