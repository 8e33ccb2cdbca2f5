module parbuckle.example/examples

go 1.24

require parbuckle.example/go v0.0.0

replace parbuckle.example/go => ../../bindings/go
