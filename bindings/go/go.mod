module parbuckle.example/go

go 1.24
