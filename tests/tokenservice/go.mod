module parbuckle.example/tests/tokenservice

go 1.24
