"""Where pixels and tags come from: toy streets, CamVid, simple pictures, MSRC-21, your own folder (paper 4.1)."""
