# sudo-rs is sudo, as on Ubuntu since 25.10; the one that was there before keeps a name of its own.
for name in sudo visudo; do
  there=$(command -v "$name")
  dpkg-divert --local --rename --divert "$there.ws" --add "$there"
  ln -s "/usr/lib/cargo/bin/$name" "$there"
done
sudo --version 2>&1 | grep sudo-rs
