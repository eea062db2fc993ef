"""The door that the clients of Alibaba Cloud's product 号码隐私保护 know, beside that of HTTP."""
