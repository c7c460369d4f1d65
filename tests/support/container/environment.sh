# Where buildah keeps images and how it runs them: . environment.sh FOLDER (an absolute path)
cat >"$1/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$1/storage"
runroot = "$1/run"
CONF
export CONTAINERS_STORAGE_CONF="$1/storage.conf"
# Processes share everything but the files with this machine: a container needs neither cgroups nor a network of its own.
export BUILDAH_ISOLATION=chroot
# Where the kernel has no overlays, each layer is a copy.
buildah info >/dev/null 2>&1 || sed -i 's/"overlay"/"vfs"/' "$1/storage.conf"
