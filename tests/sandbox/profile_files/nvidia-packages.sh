# Empty packages with the names of the driver's: what apt and unattended-upgrades see of them is the same.
names="nvidia-driver-535-server libnvidia-compute-535-server linux-modules-nvidia-535-server-generic"
for name in $names; do
  mkdir -p "/tmp/$name/DEBIAN"
  printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: Sandbox <sandbox@example.org>\n' "$name" "$version" \
    >"/tmp/$name/DEBIAN/control"
  printf 'Description: stands for the package of that name\n' >>"/tmp/$name/DEBIAN/control"
  dpkg-deb --build "/tmp/$name" "/tmp/$name.deb" >/dev/null
  dpkg --install "/tmp/$name.deb"
done
